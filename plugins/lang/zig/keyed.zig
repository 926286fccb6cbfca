//! The policy `keyed` in Zig; ../README.md says what it does.
//!
//! Who frees what: a function that the host calls owns its arguments and frees
//! them; what it returns is allocated with `gpa`, and the bindings free it.
//! Everything else of a call is in an arena.

const std = @import("std");
/// What wit-bindgen made, translated from C.
const host = @import("bindings");

const Allocator = std.mem.Allocator;
const Arena = std.heap.ArenaAllocator;
const String = host.keyed_string_t;
const StreamRequest = host.livehost_app_types_stream_request_t;
const Rejection = host.livehost_app_types_rejection_t;

/// The allocator of the bindings: malloc and free.
const gpa = std.heap.c_allocator;

/// When a client may try again after the back end failed.
const retry_ms = 5000;

const place = "{name}";

/// A field without default must be there, an unknown one is an error.
const Config = struct {
    keys: std.json.ArrayHashMap([]const []const u8),
    apps: ?[]const []const u8 = null,
    moved: std.json.ArrayHashMap([]const u8) = .{},
    rename: []const u8 = place,
    on_duplicate: OnDuplicate = .reject,
    hook: ?[]const u8 = null,

    fn parse(json: []const u8) !Config {
        const self = try std.json.parseFromSliceLeaky(Config, gpa, json, .{ .allocate = .alloc_always });
        if (std.mem.indexOf(u8, self.rename, place) == null) return error.RenameWithoutName;
        return self;
    }

    /// The stream's own keys, else those of the longest prefix.
    fn keysOf(self: *const Config, name: []const u8) []const []const u8 {
        if (self.keys.map.get(name)) |own| return own;
        var best: []const []const u8 = &.{};
        var best_length: ?usize = null;
        var entries = self.keys.map.iterator();
        while (entries.next()) |entry| {
            const pattern = entry.key_ptr.*;
            if (!std.mem.endsWith(u8, pattern, "*")) continue;
            const prefix = pattern[0 .. pattern.len - 1];
            if (!std.mem.startsWith(u8, name, prefix)) continue;
            if (best_length) |length| if (length > prefix.len) continue;
            best = entry.value_ptr.*;
            best_length = prefix.len;
        }
        return best;
    }

    /// Compares every key, so time does not tell which one was close.
    fn opens(self: *const Config, name: []const u8, shown: []const u8) bool {
        var found = false;
        for (self.keysOf(name)) |key| found = equalSecret(key, shown) or found;
        return found;
    }

    fn granted(self: *const Config, allocator: Allocator, name: []const u8) ![]u8 {
        const at = std.mem.indexOf(u8, self.rename, place).?;
        return std.mem.concat(allocator, u8, &.{
            self.rename[0..at], name, self.rename[at + place.len ..],
        });
    }
};

const OnDuplicate = enum(host.livehost_app_types_duplicate_rule_t) {
    reject = host.LIVEHOST_APP_TYPES_DUPLICATE_RULE_REJECT,
    replace = host.LIVEHOST_APP_TYPES_DUPLICATE_RULE_REPLACE,
    standby = host.LIVEHOST_APP_TYPES_DUPLICATE_RULE_STANDBY,

    /// By its name alone: std.json would take its number, too.
    pub fn jsonParse(allocator: Allocator, source: anytype, options: std.json.ParseOptions) !OnDuplicate {
        const name = try std.json.innerParse([]const u8, allocator, source, options);
        return std.meta.stringToEnum(OnDuplicate, name) orelse error.InvalidEnumTag;
    }
};

var config: Config = undefined;

/// In constant time, once the lengths are equal.
fn equalSecret(a: []const u8, b: []const u8) bool {
    if (a.len != b.len) return false;
    var differs: u8 = 0;
    for (a, b) |left, right| differs |= left ^ right;
    return differs == 0;
}

// Between Zig's slices and the bindings' strings.

fn slice(text: anytype) []const u8 {
    return if (text.len == 0) "" else text.ptr[0..text.len];
}

/// For a text that is only read.
fn borrow(text: []const u8) String {
    return .{ .ptr = @constCast(text.ptr), .len = text.len };
}

/// A text that the bindings will free.
fn give(comptime pattern: []const u8, args: anytype) String {
    return borrow(std.fmt.allocPrint(gpa, pattern, args) catch outOfMemory());
}

/// Ends the instance; the application's `on_error` decides.
fn outOfMemory() noreturn {
    @panic("out of memory");
}

/// What a failed safety check comes to: a line in the log, and the instance
/// ends.
pub const panic = std.debug.FullPanic(struct {
    fn end(message: []const u8, _: ?usize) noreturn {
        var line = borrow(message);
        var fields: host.livehost_app_log_pairs_t = .{};
        host.livehost_app_log_write(host.LIVEHOST_APP_LOG_LEVEL_ERROR, &line, &fields);
        @trap();
    }
}.end);

/// Why a publish is refused.
const Refusal = struct { description: String, retry_after_ms: ?u32 = null };

fn warn(message: []const u8, reason: []const u8) void {
    var line = give("{s}: {s}", .{ message, reason });
    defer host.keyed_string_free(&line);
    var fields: host.livehost_app_log_pairs_t = .{};
    host.livehost_app_log_write(host.LIVEHOST_APP_LOG_LEVEL_WARN, &line, &fields);
}

fn count(arena: Allocator, stream: []const u8) !void {
    var key = borrow(try counter(arena, stream));
    var now: i64 = 0;
    var failure: host.livehost_app_kv_kv_error_t = .{};
    if (host.livehost_app_kv_incr(&key, 1, null, &now, &failure)) return;
    defer host.livehost_app_kv_kv_error_free(&failure);
    const reasons = [_][]const u8{ "too-large", "quota", "unavailable" };
    warn("a publish was not counted", reasons[failure.tag]);
}

fn counter(arena: Allocator, stream: []const u8) ![]u8 {
    return std.mem.concat(arena, u8, &.{ "publishes/", stream });
}

/// Asks the back end: 2xx accepts.
fn ask(arena: Allocator, url: []const u8, req: *const StreamRequest, stream: []const u8) !?Refusal {
    const body = try std.json.Stringify.valueAlloc(arena, .{
        .hook = "publish",
        .app = slice(req.app),
        .name = slice(req.name),
        .stream = stream,
        .remote = slice(req.client.remote),
    }, .{});
    var header: host.keyed_tuple2_string_string_t = .{
        .f0 = borrow("content-type"),
        .f1 = borrow("application/json"),
    };
    var request: host.livehost_app_http_client_request_t = .{
        .method = borrow("POST"),
        .url = borrow(url),
        .headers = .{ .ptr = &header, .len = 1 },
        .body = .{ .ptr = body.ptr, .len = body.len },
    };
    var response: host.livehost_app_http_client_response_t = .{};
    var failure: host.livehost_app_http_client_http_error_t = .{};
    if (!host.livehost_app_http_client_send(&request, &response, &failure)) {
        defer host.livehost_app_http_client_http_error_free(&failure);
        const reasons = [_][]const u8{ "denied", "timeout", "too-large", "connect", "protocol" };
        warn("the back end failed", reasons[failure.tag]);
        return .{ .description = give("the back end does not answer", .{}), .retry_after_ms = retry_ms };
    }
    defer host.livehost_app_http_client_response_free(&response);
    return switch (response.status) {
        200...299 => null,
        else => |status| .{ .description = give("refused by the back end: status {d}", .{status}) },
    };
}

/// Why the publish of `req` as `stream` is refused; null if it is not.
fn refuse(arena: Allocator, req: *const StreamRequest, stream: []const u8) !?Refusal {
    const shown = for (req.query.ptr[0..req.query.len]) |pair| {
        if (std.mem.eql(u8, slice(pair.f0), "key")) break slice(pair.f1);
    } else "";
    if (shown.len == 0)
        return .{ .description = give("a publish key is required: NAME?key=KEY", .{}) };
    if (!config.opens(slice(req.name), shown))
        return .{ .description = give("the publish key is wrong", .{}) };
    return if (config.hook) |url| ask(arena, url, req, stream) else null;
}

// What the host calls. The names are those of bindings.zig.

export fn exports_livehost_app_lifecycle_configure(json: *String, err: *String) bool {
    defer host.keyed_string_free(json);
    config = Config.parse(slice(json)) catch |reason| {
        err.* = give("the configuration is wrong: {t}", .{reason});
        return false;
    };
    return true;
}

export fn exports_livehost_app_policy_on_connect(
    req: *host.livehost_app_types_connect_request_t,
    ret: *host.livehost_app_types_connect_decision_t,
) void {
    defer host.livehost_app_types_connect_request_free(req);
    const app = slice(req.app);
    if (config.moved.map.get(app)) |url| {
        ret.* = .{
            .tag = host.LIVEHOST_APP_TYPES_CONNECT_DECISION_REDIRECT,
            .val = .{ .redirect = give("{s}", .{url}) },
        };
        return;
    }
    const known = if (config.apps) |apps| for (apps) |one| {
        if (std.mem.eql(u8, one, app)) break true;
    } else false else true;
    ret.* = if (known) .{
        .tag = host.LIVEHOST_APP_TYPES_CONNECT_DECISION_ACCEPT,
        .val = .{ .accept = .{} },
    } else .{
        .tag = host.LIVEHOST_APP_TYPES_CONNECT_DECISION_REJECT,
        .val = .{ .reject = .{ .description = give("there is no application \"{s}\"", .{app}) } },
    };
}

export fn exports_livehost_app_policy_on_publish(
    req: *StreamRequest,
    ret: *host.livehost_app_types_publish_decision_t,
) void {
    defer host.livehost_app_types_stream_request_free(req);
    var arena: Arena = .init(gpa);
    defer arena.deinit();
    ret.* = publish(arena.allocator(), req) catch outOfMemory();
}

fn publish(arena: Allocator, req: *const StreamRequest) !host.livehost_app_types_publish_decision_t {
    const stream = try config.granted(arena, slice(req.name));
    if (try refuse(arena, req, stream)) |refusal| {
        var rejection: Rejection = .{
            .code = give("NetStream.Publish.Denied", .{}),
            .description = refusal.description,
        };
        if (refusal.retry_after_ms) |ms| rejection.retry_after_ms = .{ .is_some = true, .val = ms };
        return .{
            .tag = host.LIVEHOST_APP_TYPES_PUBLISH_DECISION_REJECT,
            .val = .{ .reject = rejection },
        };
    }
    try count(arena, stream);
    return .{
        .tag = host.LIVEHOST_APP_TYPES_PUBLISH_DECISION_ACCEPT,
        .val = .{ .accept = .{
            .name = .{ .is_some = true, .val = give("{s}", .{stream}) },
            .on_duplicate = @intFromEnum(config.on_duplicate),
        } },
    };
}

export fn exports_livehost_app_policy_on_play(
    req: *StreamRequest,
    ret: *host.livehost_app_types_play_decision_t,
) void {
    defer host.livehost_app_types_stream_request_free(req);
    const stream = config.granted(gpa, slice(req.name)) catch outOfMemory();
    ret.* = .{
        .tag = host.LIVEHOST_APP_TYPES_PLAY_DECISION_ACCEPT,
        .val = .{ .accept = .{ .name = .{ .is_some = true, .val = borrow(stream) } } },
    };
}

export fn exports_livehost_app_calls_on_call(
    who: *host.livehost_app_types_client_t,
    method: *String,
    amf0: *host.keyed_list_u8_t,
    ret: *host.keyed_list_u8_t,
    err: *String,
) bool {
    defer {
        host.livehost_app_types_client_free(who);
        host.keyed_string_free(method);
        host.keyed_list_u8_free(amf0);
    }
    var arena: Arena = .init(gpa);
    defer arena.deinit();
    const number = call(arena.allocator(), slice(method), slice(amf0)) catch |reason| {
        err.* = give("{s}", .{switch (reason) {
            error.UnknownMethod => "unknown",
            error.NoName => "count: expected the name of a stream",
            error.NoStore => "count: no store",
            error.OutOfMemory => outOfMemory(),
        }});
        return false;
    };
    const answer = gpa.dupe(u8, &amf0Number(number)) catch outOfMemory();
    ret.* = .{ .ptr = answer.ptr, .len = answer.len };
    return true;
}

fn call(arena: Allocator, method: []const u8, amf0: []const u8) !f64 {
    if (!std.mem.eql(u8, method, "count")) return error.UnknownMethod;
    const name = amf0Text(amf0) orelse return error.NoName;
    const stream = try config.granted(arena, name);
    var key = borrow(try counter(arena, stream));
    var entry: host.livehost_app_kv_option_entry_t = .{};
    var failure: host.livehost_app_kv_kv_error_t = .{};
    if (!host.livehost_app_kv_get(&key, &entry, &failure)) {
        host.livehost_app_kv_kv_error_free(&failure);
        return error.NoStore;
    }
    defer host.livehost_app_kv_option_entry_free(&entry);
    if (!entry.is_some) return 0;
    return std.fmt.parseFloat(f64, slice(entry.val.value)) catch 0;
}

/// A string as AMF0 has it: marker 2, length in two bytes, UTF-8.
fn amf0Text(bytes: []const u8) ?[]const u8 {
    if (bytes.len < 3 or bytes[0] != 2) return null;
    const length = std.mem.readInt(u16, bytes[1..3], .big);
    return if (bytes.len - 3 < length) null else bytes[3..][0..length];
}

/// A number as AMF0 has it: marker 0, eight bytes, the highest first.
fn amf0Number(number: f64) [9]u8 {
    var bytes: [9]u8 = @splat(0);
    std.mem.writeInt(u64, bytes[1..9], @bitCast(number), .big);
    return bytes;
}

// The rest of a policy's life: nothing to do.

export fn exports_livehost_app_lifecycle_on_start(
    _: host.exports_livehost_app_lifecycle_start_reason_t,
    from_old: ?*host.livehost_app_types_handoff_t,
    _: *String,
) bool {
    if (from_old) |handoff| host.livehost_app_types_handoff_free(handoff);
    return true;
}

export fn exports_livehost_app_lifecycle_snapshot(_: *host.livehost_app_types_handoff_t) bool {
    return false;
}

export fn exports_livehost_app_lifecycle_on_stop(_: host.exports_livehost_app_lifecycle_stop_reason_t) void {}

export fn exports_livehost_app_lifecycle_on_timer(key: *String) void {
    host.keyed_string_free(key);
}
