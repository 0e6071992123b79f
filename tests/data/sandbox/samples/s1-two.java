HttpResponse<String> response = Unirest.post("https://api.infobip.com/sms/1/binary/single")
 .header("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
 .header("content-type", "application/json")
 .header("accept", "application/json")
 .body("{\"from\":\"InfoSMS\", \"to\":[\"41793026727\", \"41793026834\"], \"binary\":{\"hex\":\"54 65 73 74 69 6e 67 20 c4 8d c5 a1 c4 87 c4 91\", \"dataCoding\":8, \"esmClass\":0}}")
 .asString();
