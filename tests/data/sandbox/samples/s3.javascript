var data = JSON.stringify({
"bulkId": "BULK-ID-123-xyz",
"messages": [
{
"from": "InfoSMS",
"destinations": [
{
"to": "41793026727",
"messageId": "MESSAGE-ID-123-xyz"
},
{
"to": "41793026731"
}
],
"text": "Artık Ulusal Dil Tanımlayıcısı ile Türkçe karakterli smslerinizi rahatlıkla iletebilirsiniz.",
"flash": false,
"language": {
"languageCode": "TR"
},
"transliteration": "TURKISH",
"intermediateReport": true,
"notifyUrl": "https://www.example.com/sms/advanced",
"notifyContentType": "application/json",
"callbackData": "DLR callback data",
"validityPeriod": 720
},
{
"from": "41793026700",
"destinations": [
{
"to": "41793026785"
}
],
"text": "A long time ago, in a galaxy far, far away... It is a period of civil war. Rebel spaceships, striking from a hidden base, have won their first victory against the evil Galactic Empire.",
"sendAt": "2015-07-07T17:00:00.000+01:00",
"deliveryTimeWindow": {
"from": {
"hour": 6,
"minute": 0
},
"to": {
"hour": 15,
"minute": 30
},
"days": [
"MONDAY",
"TUESDAY",
"WEDNESDAY",
"THURSDAY",
"FRIDAY",
"SATURDAY",
"SUNDAY"
]
}
}
],
"tracking": {
"track": "SMS",
"type": "MY_CAMPAIGN"
}
});
var xhr = new XMLHttpRequest();
xhr.withCredentials = true;
xhr.addEventListener("readystatechange", function () {
if (this.readyState === 4) {
console.log(this.responseText);
}
});
xhr.open("POST", "https://api.infobip.com/sms/2/text/advanced");
xhr.setRequestHeader("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
xhr.setRequestHeader("accept", "application/json");
xhr.setRequestHeader("content-type", "application/json");
xhr.send(data);
