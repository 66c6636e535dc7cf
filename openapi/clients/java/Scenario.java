// The scenario, with OpenAPI Generator's Java client (`native`): a refusal is an ApiException whose body Jackson reads.

import com.fasterxml.jackson.core.JsonProcessingException;
import datapusher.ApiClient;
import datapusher.ApiException;
import datapusher.api.AccountsApi;
import datapusher.api.DataApi;
import datapusher.api.DeliveriesApi;
import datapusher.api.DestinationsApi;
import datapusher.api.EventsApi;
import datapusher.api.OperationsApi;
import datapusher.model.AccountCreate;
import datapusher.model.AccountUpdate;
import datapusher.model.Attempt;
import datapusher.model.Delivery;
import datapusher.model.DeliveryDetail;
import datapusher.model.DeliveryOrder;
import datapusher.model.DeliveryPage;
import datapusher.model.DeliveryState;
import datapusher.model.Destination;
import datapusher.model.DestinationCreate;
import datapusher.model.DestinationPreview;
import datapusher.model.DestinationUpdate;
import datapusher.model.EventReceipt;
import datapusher.model.FieldFault;
import datapusher.model.HttpMethod;
import datapusher.model.Preview;
import datapusher.model.Problem;
import datapusher.model.SkipReason;
import datapusher.model.SkippedDestination;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;

public final class Scenario {
    static final String SERVER = System.getenv("SERVER_URL");
    static final String RECEIVER = System.getenv("RECEIVER_URL");
    static final String NAME = System.getenv("CLIENT");

    static ApiClient client(String header, String value) {
        ApiClient client = new ApiClient();
        client.updateBaseUri(SERVER);
        client.setRequestInterceptor(request -> request.header(header, value));
        return client;
    }

    static void check(boolean holds, Object seen) {
        if (!holds) {
            throw new AssertionError(String.valueOf(seen));
        }
    }

    static Problem problem(Callable<?> call, int status, String code) throws Exception {
        try {
            call.call();
        } catch (ApiException refused) {
            Problem problem = read(refused);
            check(refused.getCode() == status && problem.getStatus() == status, problem);
            check(problem.getCode().equals(code), problem);
            return problem;
        }
        throw new AssertionError("it was not refused with " + code);
    }

    static Problem read(ApiException refused) throws JsonProcessingException {
        return ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), Problem.class);
    }

    static List<Integer> statuses(DeliveryDetail delivery) {
        return delivery.getAttempts().stream().map(Attempt::getStatusCode).toList();
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient admin = client("Authorization", "Bearer " + System.getenv("ADMIN_TOKEN"));
        AccountsApi accounts = new AccountsApi(admin);
        DestinationsApi destinations = new DestinationsApi(admin);
        DeliveriesApi deliveries = new DeliveriesApi(admin);
        check(new OperationsApi(admin).getHealth().getStatus().equals("ok"), "health");

        AccountCreate wanted = new AccountCreate()
                .email(NAME + "@example.com").accountName(NAME).website("https://example.com/a|b");
        var account = accounts.createAccount(wanted);
        String id = account.getAccountId();
        problem(() -> accounts.createAccount(wanted), 409, "email_taken");
        AccountCreate invalid = new AccountCreate().email("nobody").accountName("Nobody").website("ftp://example.com");
        Problem refused = problem(() -> accounts.createAccount(invalid), 422, "validation_failed");
        Set<String> fields = refused.getErrors().stream().map(FieldFault::getField).collect(Collectors.toSet());
        check(fields.equals(Set.of("email", "website")), refused);
        var changed = accounts.updateAccount(id, new AccountUpdate().accountName("Another"));
        check(changed.getAccountName().equals("Another") && changed.getWebsite().equals("https://example.com/a|b"), changed);

        DestinationCreate create = new DestinationCreate()
                .httpMethod(HttpMethod.POST).headers(Map.of("X-Client", NAME)).retrySchedule(List.of());
        Destination ok = destinations.createDestination(id, create.url(RECEIVER + "/ok"));
        Destination failsFirst = destinations.createDestination(id, create.url(RECEIVER + "/fails-first"));
        check(ok.getHeaders().get("X-Client").equals(NAME), ok);

        DataApi pusher = new DataApi(client("CL-XTOKEN", account.getAppSecretToken()));
        List<Object> documents = List.of(
                Map.of("order", 1, "total", 19.5, "lines", Arrays.asList(null, true)), List.of(1, "two"), "three");
        Set<String> sent = new TreeSet<>();
        String first = null;
        for (int number = 0; number < documents.size(); number++) {
            Object document = documents.get(number);
            EventReceipt receipt = pusher.sendEvent(document, NAME + "-" + number, null, "wait=10");
            Map<String, DeliveryState> states = receipt.getDeliveries().stream()
                    .collect(Collectors.toMap(Delivery::getDestinationId, Delivery::getState));
            check(states.get(ok.getDestinationId()) == DeliveryState.SUCCEEDED, receipt);
            check(states.get(failsFirst.getDestinationId()) == DeliveryState.EXHAUSTED, receipt);
            Object payload = new EventsApi(admin).getEvent(receipt.getEventId()).getPayload();
            check(payload.equals(document), payload);
            receipt.getDeliveries().forEach(delivery -> sent.add(delivery.getDeliveryId()));
            first = first == null ? receipt.getEventId() : first;
        }
        EventReceipt again = pusher.sendEvent(documents.get(0), NAME + "-0", null, null);
        check(again.getDuplicate() && again.getEventId().equals(first), again);
        problem(() -> pusher.sendEvent(Map.of(), NAME + "-0", null, null), 422, "idempotency_key_reused");

        Set<String> seen = new TreeSet<>();
        OffsetDateTime since = OffsetDateTime.now().minusHours(1);
        int pages = 0;
        String cursor = null;
        do {
            DeliveryPage page = deliveries.listDeliveries(2, cursor, id, null, null, null, null, null, since, null);
            page.getItems().forEach(delivery -> seen.add(delivery.getDeliveryId()));
            cursor = page.getNextCursor();
            pages++;
        } while (cursor != null);
        check(seen.equals(sent) && pages >= 3, seen);

        DeliveryPage exhausted =
                deliveries.listDeliveries(null, null, id, null, null, null, DeliveryState.EXHAUSTED, null, null, null);
        String failed = exhausted.getItems().get(0).getDeliveryId();
        DeliveryDetail delivery = deliveries.getDelivery(failed);
        check(statuses(delivery).equals(List.of(500)), delivery);
        check(delivery.getAttempts().get(0).getResponseBody().equals("down"), delivery);
        deliveries.retryDelivery(failed, null);
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (delivery.getState() != DeliveryState.SUCCEEDED) {
            check(System.nanoTime() < deadline, delivery);
            Thread.sleep(50);
            delivery = deliveries.getDelivery(failed);
        }
        check(statuses(delivery).equals(List.of(500, 200)), delivery);

        Destination shaped = destinations.createDestination(id, new DestinationCreate()
                .url(RECEIVER + "/ok").httpMethod(HttpMethod.POST).headers(Map.of())
                .eventTypes(List.of("order.*")).filter("data.total > 100").bodyTemplate("{\"text\": {{ data.name }}}")
                .rateLimit("100/s").ordering(DeliveryOrder.STRICT));
        String to = shaped.getDestinationId();
        check(shaped.getOrdering() == DeliveryOrder.STRICT && shaped.getNextSendAt() == null, shaped);
        var paid = Map.of("name", "Ada", "total", 250);
        Preview preview =
                destinations.previewDestination(to, new DestinationPreview().data(paid).eventType("order.paid"));
        check(preview.getMatches() && preview.getRequest().getBody().equals("{\"text\": \"Ada\"}"), preview);
        EventReceipt passes = pusher.sendEvent(paid, null, "order.paid", "wait=10");
        EventReceipt fails = pusher.sendEvent(Map.of("name", "Ada", "total", 5), null, "order.paid", "wait=10");
        check(passes.getEventType().equals("order.paid") && passes.getSkipped().isEmpty(), passes);
        var skipped = new SkippedDestination().destinationId(to).reason(SkipReason.FILTER);
        check(fails.getEventType().equals("order.paid") && fails.getSkipped().equals(List.of(skipped)), fails);
        List<String> got = passes.getDeliveries().stream()
                .filter(each -> each.getDestinationId().equals(to)).map(Delivery::getDeliveryId).toList();
        check(got.size() == 1, passes);
        delivery = deliveries.getDelivery(got.get(0));
        check(statuses(delivery).equals(List.of(200)), delivery);
        check(delivery.getAttempts().get(0).getRequestBody().equals("{\"text\": \"Ada\"}"), delivery);
        Set<String> typed = Stream.of(passes, fails).flatMap(receipt -> receipt.getDeliveries().stream())
                .map(Delivery::getDeliveryId).collect(Collectors.toSet());
        DeliveryPage listed =
                deliveries.listDeliveries(null, null, id, null, null, "order.paid", null, null, null, null);
        var ids = listed.getItems().stream().map(Delivery::getDeliveryId).collect(Collectors.toSet());
        check(ids.equals(typed), listed);
        shaped = destinations.updateDestination(to, new DestinationUpdate().filter("data.total > 1"));
        check(shaped.getFilter().equals("data.total > 1") && shaped.getRateLimit().equals("100/s"), shaped);

        DataApi stranger = new DataApi(client("CL-XTOKEN", "nobody"));
        problem(() -> stranger.sendEvent(Map.of(), null, null, null), 401, "invalid_token");
        problem(() -> accounts.getAccount("acc_nobody"), 404, "not_found");
        accounts.deleteAccount(id);
        problem(() -> accounts.getAccount(id), 404, "not_found");
    }
}
