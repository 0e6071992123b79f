package main

import (
    "fmt"
    "strings"
    "net/http"
    "io/ioutil"
)

func main() {

    url := "https://example.com/sms/1/text/advanced"
    method := "POST"

    payload := strings.NewReader(`{"bulkId":"BULK-ID-123-xyz","messages":[{"binary":{"dataCoding":0,"esmClass":0,"hex":"54 65 73 74 20 6d 65 73 73 61 67 65 2e"},"callbackData":"DLR callback data","destinations":[{"messageId":"MESSAGE-ID-123-xyz","to":"41793026727"},{"to":"41793026834"}],"from":"SMSC","intermediateReport":true,"notifyContentType":"application/json","notifyUrl":"https://www.example.com/sms/advanced","validityPeriod":720},{"binary":{"dataCoding":0,"esmClass":0,"hex":"41 20 6C 6F 6E 67 20 74 …20 45 6D 70 69 72 65 2E"},"deliveryTimeWindow":{"days":["MONDAY","TUESDAY","WEDNESDAY","THURSDAY","FRIDAY","SATURDAY","SUNDAY"],"from":{"hour":6,"minute":0},"to":{"hour":15,"minute":30}},"destinations":[{"to":"41793026700"}],"from":"41793026700","sendAt":"2021-08-25T16:00:00.000+0000"}]}`)

    client := &http.Client {
    }
    req, err := http.NewRequest(method, url, payload)

    if err != nil {
        fmt.Println(err)
        return
    }
    req.Header.Add("Authorization", "{authorization}")
    req.Header.Add("Content-Type", "application/json")
    req.Header.Add("Accept", "application/json")

    res, err := client.Do(req)
    if err != nil {
        fmt.Println(err)
        return
    }
    defer res.Body.Close()

    body, err := ioutil.ReadAll(res.Body)
    if err != nil {
        fmt.Println(err)
        return
    }
    fmt.Println(string(body))
}
