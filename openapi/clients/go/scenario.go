// The scenario, with OpenAPI Generator's Go client: a refusal is a GenericOpenAPIError whose model is a Problem.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"reflect"
	"sort"
	"time"

	"scenario/datapusher"
)

var (
	receiver = os.Getenv("RECEIVER_URL")
	name     = os.Getenv("CLIENT")
)

// check ends the scenario unless holds.
func check(holds bool, what string, seen ...interface{}) {
	if !holds {
		text, _ := json.Marshal(seen)
		log.Fatalf("%s: %s", what, text)
	}
}

func ok(err error) {
	if err != nil {
		var refused *datapusher.GenericOpenAPIError
		if errors.As(err, &refused) {
			log.Fatalf("%v: %s", err, refused.Body())
		}
		log.Fatal(err)
	}
}

func problem(err error, status int32, code string) datapusher.Problem {
	var refused *datapusher.GenericOpenAPIError
	check(errors.As(err, &refused), "not refused with "+code)
	problem, typed := refused.Model().(datapusher.Problem)
	check(typed && problem.Status == status && problem.Code == code, code, problem)
	return problem
}

func main() {
	configuration := datapusher.NewConfiguration()
	configuration.Servers = datapusher.ServerConfigurations{{URL: os.Getenv("SERVER_URL")}}
	client := datapusher.NewAPIClient(configuration)
	admin := context.WithValue(context.Background(), datapusher.ContextAccessToken, os.Getenv("ADMIN_TOKEN"))

	health, _, err := client.OperationsAPI.GetHealth(context.Background()).Execute()
	ok(err)
	check(health.Status == "ok", "health", health)

	wanted := datapusher.NewAccountCreate(name+"@example.com", name)
	wanted.SetWebsite("https://example.com")
	account, _, err := client.AccountsAPI.CreateAccount(admin).AccountCreate(*wanted).Execute()
	ok(err)
	_, _, err = client.AccountsAPI.CreateAccount(admin).AccountCreate(*wanted).Execute()
	problem(err, 409, "email_taken")
	invalid := datapusher.NewAccountCreate("nobody", "Nobody")
	invalid.SetWebsite("ftp://example.com")
	_, _, err = client.AccountsAPI.CreateAccount(admin).AccountCreate(*invalid).Execute()
	var fields []string
	for _, fault := range problem(err, 422, "validation_failed").Errors {
		fields = append(fields, fault.Field)
	}
	sort.Strings(fields)
	check(reflect.DeepEqual(fields, []string{"email", "website"}), "faults", fields)
	change := datapusher.NewAccountUpdate()
	change.SetWebsiteNil()
	changed, _, err := client.AccountsAPI.UpdateAccount(admin, account.AccountId).AccountUpdate(*change).Execute()
	ok(err)
	check(!changed.Website.IsSet() || changed.Website.Get() == nil, "website", changed)
	check(changed.AccountName == name, "name", changed)

	var destinations []string
	for _, path := range []string{"/ok", "/fails-first"} {
		headers := map[string]string{"X-Client": name}
		create := datapusher.NewDestinationCreate(receiver+path, datapusher.HTTPMETHOD_POST, headers)
		create.RetrySchedule = []string{}
		request := client.DestinationsAPI.CreateDestination(admin, account.AccountId)
		destination, _, err := request.DestinationCreate(*create).Execute()
		ok(err)
		check(destination.Headers["X-Client"] == name, "headers", destination)
		destinations = append(destinations, destination.DestinationId)
	}

	pusher := withToken(account.AppSecretToken)
	documents := []interface{}{
		map[string]interface{}{"order": 1.0, "total": 19.5, "lines": []interface{}{nil, true}},
		[]interface{}{1.0, "two"},
		"three",
	}
	var sent []string
	var first string
	for number, document := range documents {
		key := name + "-" + string(rune('0'+number))
		request := client.DataAPI.SendEvent(pusher).Body(document).Prefer("wait=10").IdempotencyKey(key)
		receipt, _, err := request.Execute()
		ok(err)
		states := map[string]datapusher.DeliveryState{}
		for _, delivery := range receipt.Deliveries {
			states[delivery.DestinationId] = delivery.State
			sent = append(sent, delivery.DeliveryId)
		}
		check(states[destinations[0]] == datapusher.DELIVERYSTATE_SUCCEEDED, "ok", receipt)
		check(states[destinations[1]] == datapusher.DELIVERYSTATE_EXHAUSTED, "fails first", receipt)
		event, _, err := client.EventsAPI.GetEvent(admin, receipt.EventId).Execute()
		ok(err)
		check(reflect.DeepEqual(event.Payload, document), "payload", event.Payload, document)
		if number == 0 {
			first = receipt.EventId
		}
	}
	again, _, err := client.DataAPI.SendEvent(pusher).Body(documents[0]).IdempotencyKey(name + "-0").Execute()
	ok(err)
	check(again.Duplicate && again.EventId == first, "duplicate", again)
	_, _, err = client.DataAPI.SendEvent(pusher).Body(struct{}{}).IdempotencyKey(name + "-0").Execute()
	problem(err, 422, "idempotency_key_reused")

	var seen []string
	pages := 0
	request := client.DeliveriesAPI.ListDeliveries(admin).AccountId(account.AccountId).Limit(2)
	request = request.Since(time.Now().Add(-time.Hour))
	for {
		page, _, err := request.Execute()
		ok(err)
		for _, delivery := range page.Items {
			seen = append(seen, delivery.DeliveryId)
		}
		pages++
		cursor := page.NextCursor.Get()
		if cursor == nil {
			break
		}
		request = request.Cursor(*cursor)
	}
	sort.Strings(seen)
	sort.Strings(sent)
	check(reflect.DeepEqual(seen, sent) && pages >= 3, "pages", seen, sent)

	failed := client.DeliveriesAPI.ListDeliveries(admin).AccountId(account.AccountId)
	exhausted, _, err := failed.State(datapusher.DELIVERYSTATE_EXHAUSTED).Execute()
	ok(err)
	id := exhausted.Items[0].DeliveryId
	delivery, _, err := client.DeliveriesAPI.GetDelivery(admin, id).Execute()
	ok(err)
	check(reflect.DeepEqual(statuses(delivery), []int32{500}), "attempts", delivery)
	check(delivery.Attempts[0].ResponseBody == "down", "answer", delivery)
	_, _, err = client.DeliveriesAPI.RetryDelivery(admin, id).Execute()
	ok(err)
	deadline := time.Now().Add(10 * time.Second)
	for delivery.State != datapusher.DELIVERYSTATE_SUCCEEDED {
		check(time.Now().Before(deadline), "retry", delivery)
		time.Sleep(50 * time.Millisecond)
		delivery, _, err = client.DeliveriesAPI.GetDelivery(admin, id).Execute()
		ok(err)
	}
	check(reflect.DeepEqual(statuses(delivery), []int32{500, 200}), "attempts", delivery)

	create := datapusher.NewDestinationCreate(receiver+"/ok", datapusher.HTTPMETHOD_POST, map[string]string{})
	create.SetEventTypes([]string{"order.*"})
	create.SetFilter("data.total > 100")
	create.SetBodyTemplate(`{"text": {{ data.name }}}`)
	create.SetRateLimit("100/s")
	create.SetOrdering(datapusher.DELIVERYORDER_STRICT)
	created := client.DestinationsAPI.CreateDestination(admin, account.AccountId).DestinationCreate(*create)
	shaped, _, err := created.Execute()
	ok(err)
	check(shaped.Ordering == datapusher.DELIVERYORDER_STRICT && shaped.NextSendAt.Get() == nil, "shaped", shaped)
	paid := map[string]interface{}{"name": "Ada", "total": 250}
	settings := datapusher.NewDestinationPreview()
	settings.SetData(paid)
	settings.SetEventType("order.paid")
	previewed := client.DestinationsAPI.PreviewDestination(admin, shaped.DestinationId).DestinationPreview(*settings)
	preview, _, err := previewed.Execute()
	ok(err)
	matches, text := preview.Matches.Get(), preview.Request.Body.Get()
	check(matches != nil && *matches && text != nil && *text == `{"text": "Ada"}`, "preview", preview)
	var typed []string
	for _, total := range []int{250, 5} {
		paid["total"] = total
		receipt, _, err := client.DataAPI.SendEvent(pusher).Body(paid).EventType("order.paid").Prefer("wait=10").Execute()
		ok(err)
		kind := receipt.EventType.Get()
		check(kind != nil && *kind == "order.paid", "type", receipt)
		var got []string
		for _, delivery := range receipt.Deliveries {
			typed = append(typed, delivery.DeliveryId)
			if delivery.DestinationId == shaped.DestinationId {
				got = append(got, delivery.DeliveryId)
			}
		}
		if total == 5 {
			skipped := datapusher.NewSkippedDestination(shaped.DestinationId, datapusher.SKIPREASON_FILTER)
			check(len(got) == 0 && len(receipt.Skipped) == 1, "skipped", receipt)
			check(reflect.DeepEqual(receipt.Skipped[0], *skipped), "skipped", receipt)
			continue
		}
		check(len(got) == 1 && len(receipt.Skipped) == 0, "passed", receipt)
		delivery, _, err := client.DeliveriesAPI.GetDelivery(admin, got[0]).Execute()
		ok(err)
		body := delivery.Attempts[0].RequestBody.Get()
		check(delivery.State == datapusher.DELIVERYSTATE_SUCCEEDED, "shaped", delivery)
		check(body != nil && *body == *text, "shaped", delivery)
	}
	request = client.DeliveriesAPI.ListDeliveries(admin).AccountId(account.AccountId)
	page, _, err := request.EventType("order.paid").Execute()
	ok(err)
	var listed []string
	for _, delivery := range page.Items {
		listed = append(listed, delivery.DeliveryId)
	}
	sort.Strings(listed)
	sort.Strings(typed)
	check(reflect.DeepEqual(listed, typed), "types", listed, typed)
	unfiltered := datapusher.NewDestinationUpdate()
	unfiltered.SetFilterNil()
	update := client.DestinationsAPI.UpdateDestination(admin, shaped.DestinationId).DestinationUpdate(*unfiltered)
	shaped, _, err = update.Execute()
	ok(err)
	check(shaped.Filter.Get() == nil && *shaped.RateLimit.Get() == "100/s", "filter", shaped)

	_, _, err = client.DataAPI.SendEvent(withToken("nobody")).Body(struct{}{}).Execute()
	problem(err, 401, "invalid_token")
	_, _, err = client.AccountsAPI.GetAccount(admin, "acc_nobody").Execute()
	problem(err, 404, "not_found")
	_, err = client.AccountsAPI.DeleteAccount(admin, account.AccountId).Execute()
	ok(err)
	_, _, err = client.AccountsAPI.GetAccount(admin, account.AccountId).Execute()
	problem(err, 404, "not_found")
}

func withToken(token string) context.Context {
	keys := map[string]datapusher.APIKey{"appToken": {Key: token}}
	return context.WithValue(context.Background(), datapusher.ContextAPIKeys, keys)
}

func statuses(delivery *datapusher.DeliveryDetail) []int32 {
	var statuses []int32
	for _, attempt := range delivery.Attempts {
		statuses = append(statuses, attempt.GetStatusCode())
	}
	return statuses
}
