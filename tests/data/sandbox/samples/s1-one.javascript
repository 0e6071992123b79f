var data = JSON.stringify({
 "from": "InfoSMS",
 "to": "41793026727",
 "binary": {
 "hex": "54 65 73 74 20 6d 65 73 73 61 67 65 2e",
 "dataCoding": 0,
 "esmClass": 0
 }
});

var xhr = new XMLHttpRequest();
xhr.withCredentials = true;

xhr.addEventListener("readystatechange", function () {
 if (this.readyState === this.DONE) {
 console.log(this.responseText);
 }
});

xhr.open("POST", "https://api.infobip.com/sms/1/binary/single");
xhr.setRequestHeader("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
xhr.setRequestHeader("content-type", "application/json");
xhr.setRequestHeader("accept", "application/json");

xhr.send(data);
