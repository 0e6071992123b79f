<?php

$curl = curl_init();

curl_setopt_array($curl, array(
 CURLOPT_URL => "http://api.infobip.com/sms/1/binary/single",
 CURLOPT_RETURNTRANSFER => true,
 CURLOPT_ENCODING => "",
 CURLOPT_MAXREDIRS => 10,
 CURLOPT_TIMEOUT => 30,
 CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1,
 CURLOPT_CUSTOMREQUEST => "POST",
 CURLOPT_POSTFIELDS => "{ \"from\":\"InfoSMS\", \"to\":[ \"41793026727\", \"41793026834\" ], \"binary\":{ \"hex\":\"54 65 73 74 69 6e 67 20 c4 8d c5 a1 c4 87 c4 91\", \"dataCoding\":8, \"esmClass\":0 } }",
 CURLOPT_HTTPHEADER => array(
 "accept: application/json",
 "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
 "content-type: application/json"
 ),
));

$response = curl_exec($curl);
$err = curl_error($curl);

curl_close($curl);

if ($err) {
 echo "cURL Error #:" . $err;
} else {
 echo $response;
}
