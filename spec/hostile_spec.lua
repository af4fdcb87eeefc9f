local hostile = require("spec.support.hostile")
local sample = require("spec.support.sample")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local webhook = require("webhook")

local TIMEOUT = { stalls = 1, ends = 30 } -- seconds; where only the timeout ends it, and where it must not
local LATE_SECONDS = 10 -- that a busy machine may take longer
local ROUNDS = 4 -- the first fills the caches; only it has the large bodies, which SQLite's cache keeps
local FINE_PER_ROUND = 50
local DRAIN_SECONDS = 60

-- A sanitizer holds freed memory back.
local KB = 1024
local GROWTH_KB = (os.getenv("LW_SANITIZED") and 400 or 8) * KB
local PEAK_KB = (os.getenv("LW_SANITIZED") and 600 or 32) * KB

local function memory(field)
  return tonumber(shell.read_file("/proc/self/status"):match(field .. ":%s*(%d+) kB"))
end

local function event_for(expected)
  local filling = expected.large and ("x"):rep(hostile.LARGE_BYTES) or nil
  return { event = "job_finished", data = { status = "failed", filling = filling } }
end

local function timeout_of(expected)
  return expected.stalls and TIMEOUT.stalls or TIMEOUT.ends
end

local function check_outcome(name, expected, outcome, message)
  for _, right in ipairs(expected) do
    if right == outcome then
      return
    end
  end
  error(("%s: %s instead of %s: %s"):format(name, outcome, table.concat(expected, " or "), message or "no error"), 0)
end

local function check_answer(name, expected, answer, bomb)
  local wanted = name == "gzip_bomb" and bomb or expected.body
  if wanted and answer.response_status_code then
    assert.equal(#wanted, #(answer.response_body or ""), name)
    assert.is_true(wanted == answer.response_body, name .. ": other bytes")
  end
  assert.equal(answer.response_status_code ~= nil and expected.cut or false, answer.response_body_cut, name)
  assert.is_true(answer.duration <= timeout_of(expected) + LATE_SECONDS, name .. " took " .. answer.duration)
  if expected.stalls then
    assert.is_true(answer.duration >= TIMEOUT.stalls * 0.9, name .. " took " .. answer.duration)
  end
end

describe("a hostile receiver", function()
  local receiver, folder, dispatchers, fine, words, reasons

  -- Two dispatchers, since their timeouts differ. They share the sender.
  local function open()
    local function logger(record)
      if record.event == "delivery_failed" then
        words[record.delivery_id] = record.error or false
        reasons[record.delivery_id] = record.reason
      end
    end
    for kind, seconds in pairs(TIMEOUT) do
      local hooks = assert(webhook.open(folder:file(kind .. ".db"), {
        allow_networks = { "127.0.0.1" }, retry = false, timeout = seconds, logger = logger,
      }))
      dispatchers[kind] = { hooks = hooks, webhooks = {} }
    end
    for name, expected in pairs(hostile.behaviours) do
      local kind = expected.stalls and "stalls" or "ends"
      local hook = assert(dispatchers[kind].hooks.webhooks:create({
        app_id = name, name = name, url = receiver:url(name), events = { "*" },
      }))
      dispatchers[kind].webhooks[name] = hook.id
    end
    fine = assert(dispatchers.ends.hooks.webhooks:create({
      app_id = "bystander", name = "bystander", url = receiver:url("fine"), events = { "*" },
    })).id
  end

  local function one_round(number)
    for _, dispatcher in pairs(dispatchers) do
      for name in pairs(dispatcher.webhooks) do
        local expected = hostile.behaviours[name]
        if number == 1 or not expected.large then
          assert(dispatcher.hooks:emit(event_for(expected), { app_id = name }))
        end
      end
    end
    for _ = 1, FINE_PER_ROUND do
      assert(dispatchers.ends.hooks:emit(event_for({}), { app_id = "bystander" }))
    end
    for _, dispatcher in pairs(dispatchers) do
      assert(dispatcher.hooks:drain(DRAIN_SECONDS))
      dispatcher.hooks:poll()
    end
  end

  setup(function()
    receiver = hostile.start()
  end)

  teardown(function()
    local running, output = receiver:running()
    receiver:stop()
    assert(running, output)
  end)

  before_each(function()
    folder, dispatchers, words, reasons = temp.folder(), {}, {}, {}
  end)

  after_each(function()
    for _, dispatcher in pairs(dispatchers) do
      dispatcher.hooks:close(0)
    end
    folder:remove()
  end)

  local function check_delivery(name, delivery)
    local expected = hostile.behaviours[name]
    assert.equal(1, delivery.attempt_count, name)
    local attempt = delivery.attempts[1]
    local status, word = attempt.response_status_code, words[delivery.id]
    local outcome = status and tostring(status) or word
    check_outcome(name, expected, outcome, attempt.error)
    check_answer(name, expected, attempt, receiver.bomb)
    assert.equal(outcome:match("^2%d%d$") and "succeeded" or "failed", delivery.status, name)
    if not status then
      assert.truthy(attempt.error:find("127.0.0.1", 1, true), attempt.error)
    else
      assert.is_nil(attempt.error, name)
    end
    assert.equal(delivery.status == "failed", delivery.reason ~= nil, name)
    assert.equal(reasons[delivery.id], delivery.reason, name)
  end

  it("leaves a right record of each delivery, harms no other webhook, and takes no memory", function()
    open()
    one_round(1)
    collectgarbage()
    local before, peak_before = memory("VmRSS"), memory("VmHWM")
    for number = 2, ROUNDS do
      one_round(number)
    end
    collectgarbage()
    local after, peak = memory("VmRSS"), memory("VmHWM")
    assert.is_true(after - before < GROWTH_KB, ("memory grew by %d KB"):format(after - before))
    assert.is_true(peak - math.max(before, peak_before) < PEAK_KB, ("the peak grew by %d KB"):format(peak - peak_before))

    for _, dispatcher in pairs(dispatchers) do
      for name, id in pairs(dispatcher.webhooks) do
        local count = 0
        for _, delivery in dispatcher.hooks.log:where({ webhook_id = id }):each() do
          count = count + 1
          check_delivery(name, delivery)
        end
        assert.equal(hostile.behaviours[name].large and 1 or ROUNDS, count, name)
      end
    end
    local bystander = dispatchers.ends.hooks.log:where({ webhook_id = fine })
    assert.equal(ROUNDS * FINE_PER_ROUND, bystander:count())
    assert.equal(ROUNDS * FINE_PER_ROUND, dispatchers.ends.hooks.log:where({ webhook_id = fine, status = "succeeded" }):count())
  end)

  it("is survived by webhook.send", function()
    for name, expected in pairs(hostile.behaviours) do
      local delivery, message, code, failed = webhook.send({
        url = receiver:url(name), event = event_for(expected), timeout = timeout_of(expected),
      })
      local answer = delivery or failed
      assert.is_table(answer, message)
      check_outcome(name, expected, answer.error_code or tostring(answer.response_status_code), message)
      check_answer(name, expected, answer, receiver.bomb)
      if not delivery then
        assert.equal(answer.error_code or "status", code, name)
        assert.is_string(message)
      end
    end
    local delivery = assert(webhook.send({ url = receiver:url("fine"), event = sample.job_finished() }))
    assert.equal("hello", delivery.response_body)
  end)
end)
