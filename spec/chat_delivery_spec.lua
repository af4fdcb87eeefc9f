-- Chat messages on their way: the bytes of webhook.format arrive, in every kind of emit, retry and resend.
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local wait = require("spec.support.wait")
local webhook = require("webhook")

local RETRY = { 0.01, 0.01, 0.01, 0.01 }
local FORMATS = { "raw", "slack", "discord", "teams" }
local CONTENT_TYPES = { raw = "application/json", slack = "application/json", discord = "application/json",
  teams = "application/json; charset=utf-8" }

describe("a chat message", function()
  local receiver, folder, hooks, ids

  setup(function() receiver = start_receiver() end)
  teardown(function() receiver:stop() end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
    hooks = sample.open(folder, { retry = RETRY })
    ids = {}
  end)

  after_each(function()
    hooks:close(0)
    folder:remove()
  end)

  -- A path for each format: "/ok/raw", …
  local function ok_path(format) return "/ok/" .. format end

  -- One that answers 500 once, twice, …
  local function flaky_path(format)
    for failures, name in ipairs(FORMATS) do
      if name == format then return "/flaky/" .. failures end
    end
  end

  local function hook_all(path_of)
    for _, format in ipairs(FORMATS) do
      ids[format] = sample.hook(hooks, receiver.url .. path_of(format), { name = format, format = format }).id
    end
  end

  local function wait_for_all()
    wait.for_condition("all deliveries to succeed", 10, function()
      return hooks.log:where({ status = "succeeded" }):count() == #FORMATS
    end)
  end

  local function delivery_of(format)
    local _, delivery = hooks.log:where({ webhook_id = ids[format] }):each()()
    return delivery
  end

  local function assert_arrived(event, format, path)
    local request = receiver:last(path)
    assert.equal((webhook.format(event, format)), request.body)
    assert.equal(CONTENT_TYPES[format], request.headers["content-type"])
    assert.is_nil(request.headers["x-signature"])
    local delivery = delivery_of(format)
    assert.equal("succeeded", delivery.status)
    assert.equal(request.body, delivery.request_body)
    assert.equal(request.headers["webhook-id"], delivery.id)
  end

  for name, emit in pairs({
    ["emit"] = function(event) return hooks:emit(event) end,
    ["emit without waiting for the disk"] = function(event) return hooks:emit(event, { durable = false }) end,
    ["emit_all"] = function(event) return hooks:emit_all({ sample.job_finished(), event }) end,
  }) do
    it("arrives byte for byte in every format, after " .. name, function()
      hook_all(ok_path)
      local event = sample.job_finished()
      event.data.status = "failed"
      assert(emit(event))
      assert.is_true(hooks:drain(10))
      for _, format in ipairs(FORMATS) do assert_arrived(event, format, ok_path(format)) end
    end)
  end

  it("is the same in a retry and in a resend, also by another process's hand", function()
    hook_all(flaky_path)
    local event = sample.job_finished()
    assert(hooks:emit(event))
    hooks:close()
    hooks = sample.open(folder, { retry = RETRY })
    wait_for_all()
    for _, format in ipairs(FORMATS) do assert_arrived(event, format, flaky_path(format)) end
    receiver:reset()
    assert.equal(#FORMATS, hooks.log:where({ status = "succeeded" }):resend())
    wait_for_all()
    for _, format in ipairs(FORMATS) do
      local request = receiver:last(flaky_path(format))
      assert.equal((webhook.format(event, format)), request.body)
    end
  end)

  it("is written once for many webhooks of one format", function()
    local calls = 0
    if not webhook.events.is_known("chat_delivery.counted") then
      webhook.events.define("chat_delivery.counted", { title = function()
        calls = calls + 1
        return "call " .. calls
      end })
    end
    for number = 1, 10 do sample.hook(hooks, receiver.url .. "/ok/" .. number, { format = "slack" }) end
    assert(hooks:emit({ event = "chat_delivery.counted", data = {} }, { app_id = sample.app_id }))
    assert.is_true(hooks:drain(10))
    assert.equal(1, calls)
    for number = 1, 10 do
      assert.truthy(receiver:last("/ok/" .. number).body:find("call 1", 1, true))
    end
  end)

  it("can be sent without a dispatcher", function()
    local event = sample.job_finished()
    local delivery = assert(webhook.send({ url = receiver.url .. "/ok/teams", format = "teams", event = event }))
    assert.equal(webhook.format(event, "teams"), delivery.request_body)
    assert.equal(CONTENT_TYPES.teams, receiver:last("/ok/teams").headers["content-type"])
  end)

  it("of a webhook whose format changes is the new one for the events that follow", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok/x", { format = "slack" })
    assert(hooks:emit(sample.job_finished()))
    assert.is_true(hooks:drain(10))
    assert(hooks.webhooks:update(hook.id, { format = "discord" }))
    assert(hooks:emit(sample.job_finished()))
    assert.is_true(hooks:drain(10))
    assert.equal(webhook.format(sample.job_finished(), "discord"), receiver:last("/ok/x").body)
  end)

  it("is not signed when its webhook has become a signed raw one", function()
    local hook = sample.hook(hooks, receiver.url .. "/ok/x", { format = "teams" })
    assert(hooks:emit(sample.job_finished()))
    assert.is_true(hooks:drain(10))
    assert(hooks.webhooks:update(hook.id, { format = "raw", signing_secret = "secret" }))
    assert.equal(1, hooks.log:resend())
    assert.is_true(hooks:drain(10))
    local request = receiver:last("/ok/x")
    assert.equal((webhook.format(sample.job_finished(), "teams")), request.body)
    assert.is_nil(request.headers["x-signature"])
    assert(hooks:emit(sample.job_finished()))
    assert.is_true(hooks:drain(10))
    assert.is_string(receiver:last("/ok/x").headers["x-signature"])
  end)
end)
