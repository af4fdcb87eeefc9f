local flavour = require("spec.support.flavour")
local prometheus = require("spec.support.prometheus")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local socket = require("socket")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local KINDS = {
  "timeout", "dns", "connect", "tls", "reset", "refused_address", "too_large", "network", "status_3xx", "status_4xx",
  "status_5xx", "other",
}

local function unused_port()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return ("%d"):format(port)
end

describe("what happens", function()
  local receiver, folder, hooks

  setup(function()
    receiver = start_receiver()
  end)

  teardown(function()
    receiver:stop()
  end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
  end)

  after_each(function()
    if hooks then
      hooks:close(0)
      hooks = nil
    end
    folder:remove()
  end)

  local function open(options)
    hooks = sample.open(folder, options)
    return hooks
  end

  --- Opens with a logger that keeps its records.
  local function open_logged(options)
    local records = {}
    local all = { logger = function(record) records[#records + 1] = record end }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    return open(all), records
  end

  local function emit_and_drain(times)
    for _ = 1, times or 1 do
      assert(hooks:emit(sample.job_finished()))
    end
    assert.is_true(hooks:drain(20))
  end

  --- Makes each kind of outcome that a receiver on this machine can cause, and says how many of each.
  local function misbehave()
    open({ timeout = 0.4, retry = { 0.01 } })
    sample.hook(hooks, receiver.url .. "/ok")
    sample.hook(hooks, receiver.url .. "/flaky/1")
    sample.hook(hooks, receiver.url .. "/status/503")
    sample.hook(hooks, receiver.url .. "/status/404")
    sample.hook(hooks, receiver.url .. "/redirect")
    sample.hook(hooks, receiver.url .. "/reset")
    sample.hook(hooks, receiver.url .. "/hang")
    sample.hook(hooks, "http://127.0.0.1:" .. unused_port() .. "/")
    sample.hook(hooks, "http://10.1.2.3/")
    emit_and_drain()
    wait.for_condition("the retries", 10, function()
      return hooks.log:where({ status = "pending" }):count() == 0
    end)
    assert.is_true(hooks:drain(10))
    return {
      events = 1, attempts = 14, succeeded = 2, failed = 12, given_up = 7,
      errors = {
        status_5xx = 3, status_4xx = 1, status_3xx = 1, reset = 2, timeout = 2, connect = 2, refused_address = 1,
      },
    }
  end

  describe("in stats", function()
    it("is counted by outcome and by kind of error", function()
      local expected = misbehave()
      local stats = assert(hooks:stats())
      for _, kind in ipairs(KINDS) do
        assert.equal(expected.errors[kind] or 0, stats.errors[kind], kind)
      end
      for name, value in pairs(expected) do
        if name ~= "errors" then
          assert.equal(value, stats[name], name)
        end
      end
      for _, name in ipairs({ "canceled", "webhooks_disabled", "store_failures", "leases_lost", "records_dropped",
        "logger_errors", "queued", "in_flight", "requests", "breakers_open", "pending", "due", "oldest_due_seconds" }) do
        assert.equal(0, stats[name], name)
      end
      assert.is_nil(stats.webhooks)
    end)

    it("has what was canceled, by whomever, and what the dispatcher disabled", function()
      open({ retry = { 600 } })
      local failing = sample.hook(hooks, receiver.url .. "/status/500")
      emit_and_drain(3)
      assert.equal(0, hooks:stats().canceled)
      assert.is_true(hooks.webhooks:delete(failing.id))
      assert.equal(3, hooks:stats().canceled)
      local other = sample.hook(hooks, receiver.url .. "/status/500")
      emit_and_drain(2)
      assert(hooks.webhooks:update(other.id, { url = receiver.url .. "/status/410" }))
      emit_and_drain(1)
      local stats = hooks:stats()
      assert.equal(1, stats.webhooks_disabled)
      assert.equal(5, stats.canceled)
      assert.equal(1, stats.given_up)
    end)

    it("has how long the oldest due delivery waits, also for each webhook", function()
      open({ timeout = 60 })
      local stuck = sample.hook(hooks, receiver.url .. "/hang", { name = "stuck" })
      local good = sample.hook(hooks, receiver.url .. "/ok", { name = "good", app_id = "good" })
      local bad = sample.hook(hooks, receiver.url .. "/status/400", { name = "bad", app_id = "good" })
      assert(hooks:emit(sample.job_finished(), { app_id = "good" }))
      assert.is_true(hooks:drain(10))
      local list = {}
      for index = 1, 100 do -- more than is claimed for a webhook that has not answered yet
        list[index] = sample.job_finished()
      end
      assert(hooks:emit_all(list))
      local first = hooks:stats()
      assert.equal(100, first.pending)
      assert.equal(32, first.in_flight)
      assert.equal(68, first.due)
      local later = wait.for_condition("them to wait for a while", 10, function()
        local now = hooks:stats()
        return now.oldest_due_seconds > 0.2 and now
      end)
      assert.is_true(later.oldest_due_seconds > first.oldest_due_seconds)
      local by_webhook = hooks:stats({ per_webhook = true }).webhooks
      assert.equal(100, by_webhook[stuck.id].pending)
      assert.equal(68, by_webhook[stuck.id].due)
      assert.is_true(by_webhook[stuck.id].oldest_due_seconds >= later.oldest_due_seconds)
      assert.same({ pending = 0, due = 0, oldest_due_seconds = 0, succeeded = 1, failed = 0 }, by_webhook[good.id])
      assert.same({ pending = 0, due = 0, oldest_due_seconds = 0, succeeded = 0, failed = 1 }, by_webhook[bad.id])
    end)

    it("lists webhooks that nothing was sent to, and none that were deleted", function()
      open()
      assert.same({}, hooks:stats({ per_webhook = true }).webhooks)
      local kept = sample.hook(hooks, receiver.url .. "/ok")
      local gone = sample.hook(hooks, receiver.url .. "/ok")
      emit_and_drain()
      local unused = sample.hook(hooks, receiver.url .. "/ok")
      assert(hooks.webhooks:delete(gone.id))
      local by_webhook = hooks:stats({ per_webhook = true }).webhooks
      assert.equal(1, by_webhook[kept.id].succeeded)
      assert.equal(0, by_webhook[unused.id].succeeded)
      assert.is_nil(by_webhook[gone.id])
    end)

    it("is counted without a file too", function()
      hooks = assert(webhook.open(":memory:", { allow_networks = sample.LOCAL }))
      local hook = sample.hook(hooks, receiver.url .. "/ok")
      emit_and_drain(2)
      assert.equal(2, hooks:stats({ per_webhook = true }).webhooks[hook.id].succeeded)
    end)

    it("raises for an unknown option at the line of the caller", function()
      open()
      raises("did you mean 'per_webhook'", function()
        hooks:stats({ per_webhok = true })
      end)
    end)
  end)

  describe("in metrics", function()
    it("is text that Prometheus reads, also when nothing happened", function()
      open()
      local families, values = prometheus.parse(assert(hooks:metrics()))
      for name, kind in pairs({
        webhook_events_total = "counter", webhook_attempts_total = "counter", webhook_deliveries_total = "counter",
        webhook_disabled_total = "counter", webhook_store_failures_total = "counter", webhook_leases_lost_total = "counter",
        webhook_attempt_duration_seconds = "histogram", webhook_delivery_latency_seconds = "histogram",
        webhook_deliveries_pending = "gauge", webhook_deliveries_due = "gauge", webhook_oldest_due_seconds = "gauge",
        webhook_in_flight = "gauge", webhook_requests_running = "gauge", webhook_breakers_open = "gauge", webhook_queued_events = "gauge",
      }) do
        assert.equal(kind, families[name] and families[name].type, name)
      end
      for name, value in pairs(values) do
        assert.equal(0, value, name)
      end
      local buckets = families.webhook_attempt_duration_seconds.samples
      assert.equal("0.005", buckets[1].labels.le)
      assert.equal(30, tonumber(buckets[12].labels.le))
    end)

    it("is what happened", function()
      local expected = misbehave()
      local _, values = prometheus.parse(assert(hooks:metrics()))
      assert.equal(1, values["webhook_events_total{}"])
      assert.equal(2, values["webhook_attempts_total{outcome=success}"])
      for _, kind in ipairs(KINDS) do
        assert.equal(expected.errors[kind] or 0, values["webhook_attempts_total{outcome=" .. kind .. "}"], kind)
      end
      assert.equal(2, values["webhook_deliveries_total{status=succeeded}"])
      assert.equal(7, values["webhook_deliveries_total{status=failed}"])
      assert.equal(14, values["webhook_attempt_duration_seconds_count{}"])
      local timeouts = values["webhook_attempt_duration_seconds_bucket{le=0.5}"]
        - values["webhook_attempt_duration_seconds_bucket{le=0.25}"]
      assert.is_true(timeouts >= 1, "no timeout of 0.4 s in the buckets")
      assert.is_true(values["webhook_attempt_duration_seconds_sum{}"] >= 0.8)
      assert.equal(2, values["webhook_delivery_latency_seconds_count{}"])
    end)

    it("has the whole wait of a delivery, from the emit over its retries, but no resend", function()
      open({ retry = { 0.5 } })
      sample.hook(hooks, receiver.url .. "/flaky/1")
      local delivery = sample.deliver(hooks)
      local function latencies()
        local _, values = prometheus.parse(hooks:metrics())
        return values["webhook_delivery_latency_seconds_count{}"], values["webhook_delivery_latency_seconds_sum{}"]
      end
      local count, sum = latencies()
      assert.equal(1, count)
      assert.is_true(sum >= 0.4 and sum < 10, tostring(sum))
      assert.is_true(delivery:resend())
      assert.is_true(hooks:drain(10))
      assert.equal(2, hooks:stats().succeeded)
      assert.equal(1, (latencies()))
    end)

    it("has what is now", function()
      open({ timeout = 10 })
      sample.hook(hooks, receiver.url .. "/hang")
      assert(hooks:emit(sample.job_finished()))
      local _, values = prometheus.parse(hooks:metrics())
      assert.equal(1, values["webhook_in_flight{}"])
      assert.equal(1, values["webhook_deliveries_pending{}"])
      assert.equal(0, values["webhook_deliveries_due{}"])
    end)
  end)

  describe("for a logger", function()
    it("is a record for every failed attempt, the last with the reason", function()
      local _, records = open_logged({ retry = { 0.01 } })
      local hook = sample.hook(hooks, receiver.url .. "/status/500")
      local before = os.time() * 1000 - 1000
      local delivery = sample.deliver(hooks)
      hooks:poll()
      assert.equal(2, #records)
      for attempt, record in ipairs(records) do
        assert.equal(delivery.id, record.delivery_id)
        assert.equal(hook.id, record.webhook_id)
        assert.equal(attempt, record.attempt)
        assert.equal(500, record.status)
        assert.equal("status_5xx", record.error)
        assert.truthy(record.message:find("answered 500", 1, true), record.message)
        assert.is_true(record.time >= before and record.time < before + 60000)
        if flavour.has_integers then
          assert.equal("integer", math.type(record.time))
        end
      end
      assert.equal("attempt_failed", records[1].event)
      assert.equal("warn", records[1].level)
      assert.is_nil(records[1].reason)
      assert.equal("delivery_failed", records[2].event)
      assert.equal("error", records[2].level)
      assert.equal(delivery.reason, records[2].reason)
      assert.is_string(records[2].reason)
    end)

    it("is told by every method, and only by them", function()
      local records
      local function fresh()
        records[#records] = nil
        assert.equal(0, #records)
        local known = hooks.log:where({ status = "failed" }):count()
        assert(hooks.log:resend())
        wait.for_condition("the failure", 10, function()
          return hooks.log:where({ status = "failed" }):count() == known
        end)
        assert.equal(0, #records)
      end
      local _
      _, records = open_logged()
      sample.hook(hooks, receiver.url .. "/status/400")
      assert(hooks:emit(sample.job_finished(), { durable = false }))
      wait.for_condition("the failure", 10, function()
        return hooks.log:where({ status = "failed" }):count() == 1
      end)
      assert.equal(0, #records)
      assert.equal(1, hooks:poll())
      assert.equal(0, hooks:poll())
      for _, method in ipairs({ "stats", "metrics", "flush", "drain", "poll" }) do
        fresh()
        hooks[method](hooks, method ~= "stats" and 5 or nil)
        assert.equal(1, #records, method)
      end
      fresh()
      assert(hooks:emit(sample.job_finished(), { app_id = "nobody" }))
      assert.equal(1, #records)
      fresh()
      assert(hooks:emit_all({ sample.job_finished() }, { app_id = "nobody" }))
      assert.equal(1, #records)
      fresh()
      assert.is_true(hooks:close(1))
      assert.equal(1, #records)
    end)

    it("holds no URL, no secret and no body", function()
      local _, records = open_logged({ retry = { 0.01 }, timeout = 0.3 })
      local places = {
        receiver.url .. "/status/500?token=hidden-1", receiver.url .. "/reset?token=hidden-1",
        receiver.url .. "/hang?token=hidden-1", receiver.url .. "/status/410?token=hidden-1",
        "http://127.0.0.1:" .. unused_port() .. "/hidden-1?token=hidden-1", "http://10.1.2.3/hidden-1?token=hidden-1",
        "https://127.0.0.1:" .. receiver.port .. "/hidden-1?token=hidden-1",
      }
      for _, place in ipairs(places) do
        sample.hook(hooks, place, { signing_secret = "hidden-2" })
      end
      webhook.events.define("leaky", { fields = { { "word", "string" } } })
      assert(hooks:emit(webhook.events.leaky({ word = "hidden-3" }), { app_id = sample.app_id }))
      wait.for_condition("the failures", 10, function()
        return hooks.log:where({ status = "failed" }):count() == #places
      end)
      hooks:poll()
      assert.is_true(#records > #places)
      for _, record in ipairs(records) do
        for name, value in pairs(record) do
          local text = tostring(value)
          assert.is_nil(text:find("hidden", 1, true), name .. ": " .. text)
          assert.is_nil(text:find("://", 1, true), name .. ": " .. text)
          assert.is_nil(text:find("%c"), name .. ": " .. text)
        end
        assert.is_true(record.level == "warn" or record.level == "error")
      end
    end)

    it("says how many records were dropped, the oldest first", function()
      local _, records = open_logged({ allow_networks = {} })
      sample.hook(hooks, receiver.url .. "/ok")
      local list = {}
      for index = 1, 1100 do
        list[index] = sample.job_finished()
      end
      assert(hooks:emit_all(list))
      wait.for_condition("all to fail", 20, function()
        return hooks.log:where({ status = "failed" }):count() == 1100
      end)
      assert.equal(0, #records)
      assert.equal(1000, hooks:poll())
      assert.equal(1, hooks:poll())
      assert.equal("records_dropped", records[1].event)
      assert.equal("warn", records[1].level)
      assert.equal(100, records[1].count)
      assert.equal(100, hooks:stats().records_dropped)
      assert.equal(1001, #records)
      assert.equal("delivery_failed", records[2].event)
    end)

    it("breaks nothing when it raises", function()
      open({ logger = function() error({}) end })
      sample.hook(hooks, receiver.url .. "/status/400")
      emit_and_drain(3)
      hooks:poll()
      assert.equal(3, hooks:stats().logger_errors)
      emit_and_drain(1)
      assert.is_true(hooks:close())
    end)

    it("may use the dispatcher, also to emit and to close it", function()
      local seen = 0
      open({ logger = function(record)
        seen = seen + 1
        assert(hooks:emit(sample.job_finished(), { app_id = "nobody" }))
        assert(hooks:stats({ per_webhook = true }).webhooks[record.webhook_id])
        if seen == 2 then
          hooks:close()
        end
      end })
      sample.hook(hooks, receiver.url .. "/status/400")
      assert(hooks:emit_all({ sample.job_finished(), sample.job_finished() }))
      wait.for_condition("the failures", 10, function()
        return hooks.log:where({ status = "failed" }):count() == 2
      end)
      assert.equal(2, hooks:poll())
      assert.equal(2, seen)
      assert.has_error(function()
        hooks:poll()
      end)
      assert.equal("webhook.dispatcher (closed)", tostring(hooks))
      assert.equal(0, hooks.observer.errors)
    end)

    it("tells what came while it closed", function()
      local _, records = open_logged({ timeout = 0.3 })
      sample.hook(hooks, receiver.url .. "/hang")
      assert(hooks:emit(sample.job_finished()))
      wait.for_condition("the request to be under way", 10, function() -- what is only queued is not sent any more
        return receiver:total("/hang") == 1
      end)
      assert.is_true(hooks:close(5))
      assert.equal(1, #records)
      assert.equal("timeout", records[1].error)
      assert.is_nil(records[1].status)
    end)

    it("is a function", function()
      raises("'logger' must be function", function()
        webhook.open(folder:file("webhooks.db"), { logger = "stderr" })
      end)
      raises("'on_disabled' must be function", function()
        webhook.open(folder:file("webhooks.db"), { on_disabled = true })
      end)
    end)
  end)

  describe("when a webhook is disabled", function()
    local function disable(options)
      open(options)
      local hook = sample.hook(hooks, receiver.url .. "/status/410")
      for _ = 1, 5 do
        assert(hooks:emit(sample.job_finished()))
      end
      assert.is_true(hooks:drain(10))
      return hook
    end

    it("calls on_disabled once, with the reason of the record", function()
      local calls = {}
      local hook = disable({ on_disabled = function(id, reason) calls[#calls + 1] = { id, reason } end })
      hooks:poll()
      assert.same({ { hook.id, hooks.webhooks:get(hook.id).disabled_reason } }, calls)
      assert.truthy(calls[1][2]:find("410", 1, true))
    end)

    it("tells the logger too, and neither hinders the other", function()
      local records, called = {}, 0
      local hook = disable({
        logger = function(record)
          if record.event == "webhook_disabled" then
            records[#records + 1] = { record.webhook_id, record.level, record.reason }
            record.event, record.webhook_id = nil, nil
          end
          error("a logger that fails")
        end,
        on_disabled = function(id)
          called = called + (#id == 36 and 1 or 0)
          error("a callback that fails")
        end,
      })
      hooks:poll()
      assert.same({ { hook.id, "error", hooks.webhooks:get(hook.id).disabled_reason } }, records)
      assert.equal(1, called)
      assert.is_true(hooks:stats().logger_errors >= 3)
    end)

    it("is not crowded out by other failures where there is no logger", function()
      local called = 0
      open({ on_disabled = function() called = called + 1 end })
      sample.hook(hooks, receiver.url .. "/status/410")
      sample.hook(hooks, "http://10.1.2.3/")
      assert(hooks:emit(sample.job_finished()))
      local list = {}
      for index = 1, 1100 do
        list[index] = sample.job_finished()
      end
      assert(hooks:emit_all(list))
      wait.for_condition("the failures", 20, function()
        return hooks.log:where({ status = "pending" }):count() == 0
      end)
      hooks:poll()
      assert.equal(1, called)
      assert.equal(0, hooks:stats().records_dropped)
    end)
  end)
end)

describe("the reader of metrics", function()
  local FAMILY = "# HELP a_total Help.\n# TYPE a_total counter\n"
  local HISTOGRAM = "# HELP h Help.\n# TYPE h histogram\n"

  it("reads what is right", function()
    local _, values = prometheus.parse(FAMILY .. 'a_total{b="x\\\\y\\"z\\n",c=""} 1.5\n')
    assert.equal(1.5, values['a_total{b=x\\y"z\n,c=}'])
    prometheus.parse(HISTOGRAM .. 'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3.5\nh_count 2\n')
  end)

  for what, text in pairs({
    ["an open line"] = FAMILY .. "a_total 1",
    ["a sample of no family"] = "a_total 1\n",
    ["a sample of another family"] = FAMILY .. "b_total 1\n",
    ["a family without HELP"] = "# TYPE a_total counter\na_total 1\n",
    ["a family twice"] = FAMILY .. "a_total 1\n" .. FAMILY .. "a_total 1\n",
    ["a sample twice"] = FAMILY .. "a_total 1\na_total 1\n",
    ["no sample"] = FAMILY,
    ["a counter of another name"] = "# HELP a Help.\n# TYPE a counter\na 1\n",
    ["no value"] = FAMILY .. "a_total\n",
    ["a value that is no number"] = FAMILY .. "a_total x\n",
    ["a label without quotes"] = FAMILY .. "a_total{b=c} 1\n",
    ["an open label"] = FAMILY .. 'a_total{b="c} 1\n',
    ["buckets that fall"] = HISTOGRAM .. 'h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    ["bounds that fall"] = HISTOGRAM .. 'h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n',
    ["no last bucket"] = HISTOGRAM .. 'h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n',
    ["another count"] = HISTOGRAM .. 'h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n',
    ["no sum"] = HISTOGRAM .. 'h_bucket{le="+Inf"} 1\nh_count 1\n',
  }) do
    it("refuses " .. what, function()
      assert.has_error(function()
        prometheus.parse(text)
      end)
    end)
  end
end)

describe("the sources", function()
  local function lines(command)
    local list = {}
    for line in shell.check(command):gmatch("[^\n]+") do
      list[#list + 1] = line
    end
    return list
  end

  local function without_comments_in_c(text)
    return (text:gsub("/%*.-%*/", ""))
  end

  -- And without ngx.print: it answers a request.
  local function without_comments_in_lua(text)
    return (text:gsub("%-%-[^\n]*", ""):gsub("ngx%.print", ""))
  end

  it("print nothing", function()
    local checked = 0
    for _, file in ipairs(lines("find src -name '*.[ch]'")) do
      local text = without_comments_in_c(shell.read_file(file))
      for _, word in ipairs({ "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "fputc", "putc", "fwrite",
        "perror", "dprintf", "syslog", "warn", "warnx", "stderr", "stdout" }) do
        local rest = word:match("^std") and "" or "%s*%("
        assert.is_nil(text:match("%f[%w_]" .. word .. "%f[^%w_]" .. rest), file .. " uses " .. word)
      end
      checked = checked + 1
    end
    for _, file in ipairs(lines("find lua -name '*.lua'")) do
      local text = without_comments_in_lua(shell.read_file(file))
      for _, word in ipairs({ "print%s*[%(\"']", "io%.write", "io%.stdout", "io%.stderr", "io%.output", "warn%s*%(" }) do
        assert.is_nil(text:match("%f[%w_]" .. word), file .. " uses " .. word)
      end
      checked = checked + 1
    end
    assert.is_true(checked > 60)
  end)
end)
