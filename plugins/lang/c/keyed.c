/* The policy `keyed` in C; ../README.md says what it does.
 *
 * Who frees what: a function that the host calls owns its arguments and frees
 * them; what it returns is allocated, and the bindings free it. */

#include "keyed.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vendor/cJSON.h"

typedef keyed_string_t string;
typedef livehost_app_types_stream_request_t stream_request;
typedef livehost_app_types_rejection_t rejection;

/* When a client may try again after the back end failed. */
enum { RETRY_MS = 5000 };

static const char PLACE[] = "{name}";

/* What `configure` got; all of it points into `json`. */
static struct {
    cJSON *json;
    const cJSON *keys, *apps, *moved;
    const char *rename, *hook;
    livehost_app_types_duplicate_rule_t on_duplicate;
} config;

/* ---- texts ---- */

/* A new text, freed by whoever gets it. Out of memory ends the instance. */
static string format(const char *pattern, ...) {
    va_list args, again;
    va_start(args, pattern);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, pattern, args);
    va_end(args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text == NULL) abort();
    vsnprintf(text, (size_t)length + 1, pattern, again);
    va_end(again);
    return (string){(uint8_t *)text, (size_t)length};
}

/* For a text that is only read. */
static string borrow(const char *text) {
    return (string){(uint8_t *)text, strlen(text)};
}

/* A text as the arguments of "%.*s". */
#define ARGS(text) (int)(text).len, (const char *)(text).ptr

static bool equals(string text, const char *other) {
    return strlen(other) == text.len && memcmp(text.ptr, other, text.len) == 0;
}

static bool starts_with(string text, const char *prefix, size_t length) {
    return text.len >= length && memcmp(text.ptr, prefix, length) == 0;
}

/* In constant time, once the lengths are equal. */
static bool equals_secret(string shown, const char *key) {
    if (strlen(key) != shown.len) return false;
    unsigned char differs = 0;
    for (size_t i = 0; i < shown.len; i++) differs |= shown.ptr[i] ^ (unsigned char)key[i];
    return differs == 0;
}

/* ---- configuration ---- */

static const cJSON *field(const char *name) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(config.json, name);
    return cJSON_IsNull(value) ? NULL : value;
}

static bool all_texts(const cJSON *list) {
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (!cJSON_IsString(item)) return false;
    return true;
}

/* NULL, or what is wrong. */
static const char *read_config(void) {
    static const char *const known[] = {"keys", "apps", "moved", "rename", "on_duplicate", "hook"};
    static const char *const rules[] = {"reject", "replace", "standby"};

    if (!cJSON_IsObject(config.json)) return "expected an object in JSON";
    const cJSON *item;
    cJSON_ArrayForEach(item, config.json) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= strcmp(item->string, known[i]) == 0;
        if (!found) return "unknown field, expected keys, apps, moved, rename, on_duplicate, hook";
    }

    config.keys = field("keys");
    if (!cJSON_IsObject(config.keys)) return "keys: expected an object of lists of texts";
    cJSON_ArrayForEach(item, config.keys)
        if (!cJSON_IsArray(item) || !all_texts(item)) return "keys: expected lists of texts";

    config.apps = field("apps");
    if (config.apps && (!cJSON_IsArray(config.apps) || !all_texts(config.apps)))
        return "apps: expected a list of texts";

    config.moved = field("moved");
    if (config.moved && (!cJSON_IsObject(config.moved) || !all_texts(config.moved)))
        return "moved: expected an object of texts";

    const cJSON *rename = field("rename");
    config.rename = rename ? cJSON_GetStringValue(rename) : PLACE;
    if (!config.rename || !strstr(config.rename, PLACE))
        return "rename: expected a text with {name} in it";

    const cJSON *rule = field("on_duplicate");
    const char *word = rule ? cJSON_GetStringValue(rule) : "reject";
    config.on_duplicate = 0;
    while (!word || strcmp(word, rules[config.on_duplicate]) != 0)
        if (!word || ++config.on_duplicate == sizeof rules / sizeof *rules)
            return "on_duplicate: expected reject, replace or standby";

    const cJSON *hook = field("hook");
    config.hook = hook ? cJSON_GetStringValue(hook) : NULL;
    return hook && !config.hook ? "hook: expected a text" : NULL;
}

bool exports_livehost_app_lifecycle_configure(string *text, string *error) {
    config.json = cJSON_ParseWithLength((const char *)text->ptr, text->len);
    keyed_string_free(text);
    const char *wrong = read_config();
    if (wrong) *error = format("%s", wrong);
    return wrong == NULL;
}

/* ---- the policy's parts ---- */

/* The stream's own keys, else those of the longest prefix; may be NULL. */
static const cJSON *keys_of(string name) {
    const cJSON *keys, *best = NULL;
    size_t best_length = 0;
    cJSON_ArrayForEach(keys, config.keys) {
        if (equals(name, keys->string)) return keys;
        size_t length = strlen(keys->string);
        if (length == 0 || keys->string[--length] != '*') continue;
        if (starts_with(name, keys->string, length) && (!best || length > best_length)) {
            best = keys;
            best_length = length;
        }
    }
    return best;
}

/* Compares every key, so time does not tell which one was close. */
static bool opens(string name, string shown) {
    bool found = false;
    const cJSON *key;
    cJSON_ArrayForEach(key, keys_of(name)) found |= equals_secret(shown, key->valuestring);
    return found;
}

static string granted(string name) {
    const char *place = strstr(config.rename, PLACE);
    return format("%.*s%.*s%s", (int)(place - config.rename), config.rename, ARGS(name),
                  place + strlen(PLACE));
}

static void warn(const char *message, const char *reason) {
    string line = format("%s: %s", message, reason);
    livehost_app_log_pairs_t fields = {NULL, 0};
    livehost_app_log_write(LIVEHOST_APP_LOG_LEVEL_WARN, &line, &fields);
    keyed_string_free(&line);
}

static void count(string name) {
    string key = format("publishes/%.*s", ARGS(name));
    int64_t now;
    livehost_app_kv_kv_error_t error;
    if (!livehost_app_kv_incr(&key, 1, NULL, &now, &error)) {
        static const char *const reasons[] = {"too-large", "quota", "unavailable"};
        warn("a publish was not counted", reasons[error.tag]);
        livehost_app_kv_kv_error_free(&error);
    }
    keyed_string_free(&key);
}

static void add_text(cJSON *object, const char *field, string text) {
    string copy = format("%.*s", ARGS(text));
    cJSON_AddStringToObject(object, field, (const char *)copy.ptr);
    keyed_string_free(&copy);
}

/* Asks the back end; true if it accepts, by a status of 2xx. */
static bool ask(stream_request *req, string stream, rejection *refusal) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "hook", "publish");
    add_text(json, "app", req->app);
    add_text(json, "name", req->name);
    add_text(json, "stream", stream);
    add_text(json, "remote", req->client.remote);
    char *body = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (body == NULL) abort();

    keyed_tuple2_string_string_t header = {borrow("content-type"), borrow("application/json")};
    livehost_app_http_client_request_t request = {
        .method = borrow("POST"),
        .url = borrow(config.hook),
        .headers = {&header, 1},
        .body = {(uint8_t *)body, strlen(body)},
    };
    livehost_app_http_client_response_t response;
    livehost_app_http_client_http_error_t error;
    bool answered = livehost_app_http_client_send(&request, &response, &error);
    free(body);

    if (!answered) {
        static const char *const reasons[] = {"denied", "timeout", "too-large", "connect", "protocol"};
        warn("the back end failed", reasons[error.tag]);
        livehost_app_http_client_http_error_free(&error);
        refusal->description = format("the back end does not answer");
        refusal->retry_after_ms = (keyed_option_u32_t){true, RETRY_MS};
        return false;
    }
    bool accepted = response.status >= 200 && response.status < 300;
    if (!accepted) refusal->description = format("refused by the back end: status %d", response.status);
    livehost_app_http_client_response_free(&response);
    return accepted;
}

/* True, or why not. */
static bool allow(stream_request *req, string stream, rejection *refusal) {
    string shown = {NULL, 0};
    for (size_t i = req->query.len; i-- > 0;)
        if (equals(req->query.ptr[i].f0, "key")) shown = req->query.ptr[i].f1; /* the first */
    if (shown.len == 0) {
        refusal->description = format("a publish key is required: NAME?key=KEY");
        return false;
    }
    if (!opens(req->name, shown)) {
        refusal->description = format("the publish key is wrong");
        return false;
    }
    return config.hook == NULL || ask(req, stream, refusal);
}

/* ---- decisions ---- */

void exports_livehost_app_policy_on_connect(livehost_app_types_connect_request_t *req,
                                            livehost_app_types_connect_decision_t *ret) {
    const cJSON *item;
    bool known = config.apps == NULL;
    cJSON_ArrayForEach(item, config.apps) known |= equals(req->app, item->valuestring);

    *ret = (livehost_app_types_connect_decision_t){.tag = LIVEHOST_APP_TYPES_CONNECT_DECISION_ACCEPT};
    if (!known) {
        ret->tag = LIVEHOST_APP_TYPES_CONNECT_DECISION_REJECT;
        ret->val.reject = (rejection){
            .description = format("there is no application \"%.*s\"", ARGS(req->app))};
    }
    cJSON_ArrayForEach(item, config.moved) {
        if (!equals(req->app, item->string)) continue;
        livehost_app_types_connect_decision_free(ret);
        ret->tag = LIVEHOST_APP_TYPES_CONNECT_DECISION_REDIRECT;
        ret->val.redirect = format("%s", item->valuestring);
        break;
    }
    livehost_app_types_connect_request_free(req);
}

void exports_livehost_app_policy_on_publish(stream_request *req,
                                            livehost_app_types_publish_decision_t *ret) {
    string stream = granted(req->name);
    rejection refusal = {0};
    if (allow(req, stream, &refusal)) {
        count(stream);
        *ret = (livehost_app_types_publish_decision_t){
            .tag = LIVEHOST_APP_TYPES_PUBLISH_DECISION_ACCEPT,
            .val.accept = {.name = {true, stream}, .on_duplicate = config.on_duplicate},
        };
    } else {
        keyed_string_free(&stream);
        refusal.code = format("NetStream.Publish.Denied");
        *ret = (livehost_app_types_publish_decision_t){
            .tag = LIVEHOST_APP_TYPES_PUBLISH_DECISION_REJECT,
            .val.reject = refusal,
        };
    }
    livehost_app_types_stream_request_free(req);
}

void exports_livehost_app_policy_on_play(stream_request *req,
                                         livehost_app_types_play_decision_t *ret) {
    *ret = (livehost_app_types_play_decision_t){
        .tag = LIVEHOST_APP_TYPES_PLAY_DECISION_ACCEPT,
        .val.accept = {.name = {true, granted(req->name)}},
    };
    livehost_app_types_stream_request_free(req);
}

/* ---- calls ---- */

/* A string as AMF0 has it: marker 2, length in two bytes, UTF-8. */
static bool amf0_text(keyed_list_u8_t bytes, string *text) {
    if (bytes.len < 3 || bytes.ptr[0] != 2) return false;
    *text = (string){bytes.ptr + 3, (size_t)bytes.ptr[1] << 8 | bytes.ptr[2]};
    return text->len <= bytes.len - 3;
}

/* A number as AMF0 has it: marker 0, eight bytes, the highest first. */
static keyed_list_u8_t amf0_number(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint8_t *bytes = malloc(9);
    if (bytes == NULL) abort();
    bytes[0] = 0;
    for (int i = 0; i < 8; i++) bytes[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    return (keyed_list_u8_t){bytes, 9};
}

static bool counted(string name, double *number) {
    string stream = granted(name);
    string key = format("publishes/%.*s", ARGS(stream));
    livehost_app_kv_option_entry_t entry;
    livehost_app_kv_kv_error_t error;
    bool ok = livehost_app_kv_get(&key, &entry, &error);
    if (ok) {
        /* Decimal text, as kv.incr writes it. */
        string digits = {NULL, 0};
        if (entry.is_some) digits = format("%.*s", ARGS(entry.val.value));
        *number = entry.is_some ? strtod((const char *)digits.ptr, NULL) : 0;
        keyed_string_free(&digits);
        livehost_app_kv_option_entry_free(&entry);
    } else {
        livehost_app_kv_kv_error_free(&error);
    }
    keyed_string_free(&key);
    keyed_string_free(&stream);
    return ok;
}

bool exports_livehost_app_calls_on_call(livehost_app_types_client_t *who, string *method,
                                        keyed_list_u8_t *amf0, keyed_list_u8_t *ret, string *error) {
    string name;
    double number;
    const char *wrong = NULL;
    if (!equals(*method, "count")) wrong = "unknown";
    else if (!amf0_text(*amf0, &name)) wrong = "count: expected the name of a stream";
    else if (!counted(name, &number)) wrong = "count: no store";

    if (wrong) *error = format("%s", wrong);
    else *ret = amf0_number(number);
    livehost_app_types_client_free(who);
    keyed_string_free(method);
    keyed_list_u8_free(amf0);
    return wrong == NULL;
}

/* ---- the rest of a policy's life: nothing to do ---- */

bool exports_livehost_app_lifecycle_on_start(exports_livehost_app_lifecycle_start_reason_t reason,
                                             exports_livehost_app_lifecycle_handoff_t *from_old,
                                             string *error) {
    (void)reason, (void)error;
    if (from_old) exports_livehost_app_lifecycle_handoff_free(from_old);
    return true;
}

bool exports_livehost_app_lifecycle_snapshot(exports_livehost_app_lifecycle_handoff_t *ret) {
    (void)ret;
    return false;
}

void exports_livehost_app_lifecycle_on_stop(exports_livehost_app_lifecycle_stop_reason_t reason) {
    (void)reason;
}

void exports_livehost_app_lifecycle_on_timer(string *key) { keyed_string_free(key); }
