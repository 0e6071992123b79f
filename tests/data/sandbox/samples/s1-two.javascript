var data = JSON.stringify({
 "from": "InfoSMS",
 "to": [
 "41793026727",
 "41793026834"
 ],
 "binary": {
 "hex": "54 65 73 74 69 6e 67 20 c4 8d c5 a1 c4 87 c4 91",
 "dataCoding": 8,
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
