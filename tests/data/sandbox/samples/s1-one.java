HttpResponse<String> response = Unirest.post("https://api.infobip.com/sms/1/binary/single")
 .header("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
 .header("content-type", "application/json")
 .header("accept", "application/json")
 .body("{\"from\":\"InfoSMS\", \"to\":\"41793026727\", \"binary\":{\"hex\":\"54 65 73 74 20 6d 65 73 73 61 67 65 2e\", \"dataCoding\":0, \"esmClass\":0}}")
 .asString();
