OkHttpClient client = new OkHttpClient().newBuilder()
    .build();
MediaType mediaType = MediaType.parse("application/json");
RequestBody body = RequestBody.create(mediaType, "{\"bulkId\":\"BULK-ID-123-xyz\",\"messages\":[{\"binary\":{\"dataCoding\":0,\"esmClass\":0,\"hex\":\"54 65 73 74 20 6d 65 73 73 61 67 65 2e\"},\"callbackData\":\"DLR callback data\",\"destinations\":[{\"messageId\":\"MESSAGE-ID-123-xyz\",\"to\":\"41793026727\"},{\"to\":\"41793026834\"}],\"from\":\"SMSC\",\"intermediateReport\":true,\"notifyContentType\":\"application/json\",\"notifyUrl\":\"https://www.example.com/sms/advanced\",\"validityPeriod\":720},{\"binary\":{\"dataCoding\":0,\"esmClass\":0,\"hex\":\"41 20 6C 6F 6E 67 20 74 …20 45 6D 70 69 72 65 2E\"},\"deliveryTimeWindow\":{\"days\":[\"MONDAY\",\"TUESDAY\",\"WEDNESDAY\",\"THURSDAY\",\"FRIDAY\",\"SATURDAY\",\"SUNDAY\"],\"from\":{\"hour\":6,\"minute\":0},\"to\":{\"hour\":15,\"minute\":30}},\"destinations\":[{\"to\":\"41793026700\"}],\"from\":\"41793026700\",\"sendAt\":\"2021-08-25T16:00:00.000+0000\"}]}");
Request request = new Request.Builder()
    .url("https://example.com/sms/1/text/advanced")
    .method("POST", body)
    .addHeader("Authorization", "{authorization}")
    .addHeader("Content-Type", "application/json")
    .addHeader("Accept", "application/json")
    .build();
Response response = client.newCall(request).execute();
