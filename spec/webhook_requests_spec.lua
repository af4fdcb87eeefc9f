-- What a webhook says about its own requests, as its receiver sees it.
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")

describe("a webhook's own requests", function()
  local receiver, folder, hooks

  setup(function() receiver = start_receiver() end)
  teardown(function() receiver:stop() end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
  end)

  after_each(function()
    hooks:close(0)
    folder:remove()
  end)

  local function open(options) hooks = sample.open(folder, options) end

  -- The delivery, and the headers that the receiver got.
  local function deliver_to(path, fields)
    local hook = sample.hook(hooks, receiver.url .. path, fields)
    local delivery = sample.deliver(hooks)
    local last = receiver:last(path)
    return delivery, last and last.headers, hook
  end

  local function with_credentials(path, credentials)
    return receiver.url:gsub("://", function() return "://" .. credentials .. "@" end) .. path
  end

  it("carry its headers on top of the dispatcher's", function()
    open({ headers = { ["X-Both"] = "dispatcher", ["X-Dispatcher"] = "1" }, user_agent = "dispatcher/1" })
    local _, headers, hook = deliver_to("/ok", { headers = { ["x-both"] = "webhook", ["X-Empty"] = "" } })
    assert.equal("webhook", headers["x-both"])
    assert.equal("1", headers["x-dispatcher"])
    assert.equal("", headers["x-empty"])
    assert.equal("dispatcher/1", headers["user-agent"])
    assert.is_nil(headers.expect)
    assert(hooks.webhooks:update(hook.id, { headers = webhook.null, user_agent = "webhook/1" }))
    sample.finished(hooks, assert(hooks:emit(sample.job_finished())))
    headers = receiver:last("/ok").headers
    assert.equal("dispatcher", headers["x-both"])
    assert.is_nil(headers["x-empty"])
    assert.equal("webhook/1", headers["user-agent"])
  end)

  it("carry the credentials of its URL, before those of the dispatcher", function()
    open({ headers = { Authorization = "Bearer dispatcher" } })
    local _, headers, hook = deliver_to("/ok")
    assert.equal("Bearer dispatcher", headers.authorization)
    assert(hooks.webhooks:update(hook.id, { url = with_credentials("/ok", "Aladdin:open%20sesame") }))
    sample.finished(hooks, assert(hooks:emit(sample.job_finished())))
    -- RFC 7617, section 2
    assert.equal("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", receiver:last("/ok").headers.authorization)
  end)

  it("wait as long as it says, and keep as much of the answer", function()
    open({ timeout = 20 })
    local delivery, _, hook = deliver_to("/hang", { timeout = 0.3 })
    assert.equal("failed", delivery.status)
    assert.truthy(delivery.attempts[1].error:find("timeout", 1, true) or delivery.attempts[1].error:find("timed out", 1, true),
      delivery.attempts[1].error)
    assert(hooks.webhooks:delete(hook.id))
    delivery = deliver_to("/large-answer/100", { max_response_body = 11 })
    assert.equal(11, #delivery.response_body)
  end)

  it("go where it allows them to", function()
    open({ allow_networks = {} })
    local delivery, _, hook = deliver_to("/ok")
    assert.equal("failed", delivery.status)
    assert.equal(0, receiver:total())
    assert(hooks.webhooks:update(hook.id, { allow_networks = sample.LOCAL }))
    assert.equal("succeeded", sample.finished(hooks, assert(hooks:emit(sample.job_finished()))).status)
    assert.equal(1, receiver:total())
  end)

  it("are made again as often as it says", function()
    open({ retry = { 0.01, 0.01, 0.01 } })
    local delivery, _, hook = deliver_to("/status/500", { retry = { 0.01 } })
    assert.equal(2, #delivery.attempts)
    assert(hooks.webhooks:update(hook.id, { retry = false }))
    assert.equal(1, #sample.finished(hooks, assert(hooks:emit(sample.job_finished()))).attempts)
    assert(hooks.webhooks:update(hook.id, { retry = webhook.null }))
    assert.equal(4, #sample.finished(hooks, assert(hooks:emit(sample.job_finished()))).attempts)
  end)
end)
