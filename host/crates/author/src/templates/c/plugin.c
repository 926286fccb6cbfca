/* The policy {{name}}: streams whose name begins with PREFIX may publish.
 *
 * Who frees what: a function that the host calls owns its arguments and frees
 * them; what it returns is allocated, and the bindings free it. */

#include "bindings/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "studio-";

/* A new text of two; out of memory ends the instance. */
static plugin_string_t joined(const char *before, const uint8_t *after, size_t length) {
    size_t start = strlen(before);
    uint8_t *text = malloc(start + length);
    if (text == NULL) abort();
    memcpy(text, before, start);
    memcpy(text + start, after, length);
    return (plugin_string_t){text, start + length};
}

static bool has_prefix(plugin_string_t name) {
    size_t length = strlen(PREFIX);
    return name.len >= length && memcmp(name.ptr, PREFIX, length) == 0;
}

/* State belongs to the host: this instance may be gone tomorrow. */
static void count(plugin_string_t name) {
    plugin_string_t key = joined("publishes/", name.ptr, name.len);
    int64_t value;
    livehost_app_kv_kv_error_t error;
    if (!livehost_app_kv_incr(&key, 1, NULL, &value, &error)) livehost_app_kv_kv_error_free(&error);
    plugin_string_free(&key);
}

void exports_livehost_app_policy_on_publish(livehost_app_types_stream_request_t *req,
                                            livehost_app_types_publish_decision_t *ret) {
    *ret = (livehost_app_types_publish_decision_t){0};
    if (has_prefix(req->name)) {
        count(req->name);
        ret->tag = LIVEHOST_APP_TYPES_PUBLISH_DECISION_ACCEPT;
    } else {
        static const char reason[] = "only studio-* may publish";
        ret->tag = LIVEHOST_APP_TYPES_PUBLISH_DECISION_REJECT;
        ret->val.reject.description = joined("", (const uint8_t *)reason, sizeof reason - 1);
    }
    livehost_app_types_stream_request_free(req);
}

void exports_livehost_app_policy_on_connect(livehost_app_types_connect_request_t *req,
                                            livehost_app_types_connect_decision_t *ret) {
    *ret = (livehost_app_types_connect_decision_t){
        .tag = LIVEHOST_APP_TYPES_CONNECT_DECISION_ACCEPT};
    livehost_app_types_connect_request_free(req);
}

void exports_livehost_app_policy_on_play(livehost_app_types_stream_request_t *req,
                                         livehost_app_types_play_decision_t *ret) {
    *ret = (livehost_app_types_play_decision_t){.tag = LIVEHOST_APP_TYPES_PLAY_DECISION_ACCEPT};
    livehost_app_types_stream_request_free(req);
}

/* The configuration, JSON text, is not read. */
bool exports_livehost_app_lifecycle_configure(plugin_string_t *config, plugin_string_t *error) {
    (void)error;
    plugin_string_free(config);
    return true;
}

bool exports_livehost_app_lifecycle_on_start(exports_livehost_app_lifecycle_start_reason_t reason,
                                             exports_livehost_app_lifecycle_handoff_t *from_old,
                                             plugin_string_t *error) {
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

void exports_livehost_app_lifecycle_on_timer(plugin_string_t *key) { plugin_string_free(key); }
