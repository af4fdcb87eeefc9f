-- Uses every part once, for a memory checker: what ends well, what fails half-way, and what is left to lua_close.
local webhook = require("webhook")

local APP = "app"
local function event(id)
  return webhook.events.job_finished({ id = id, appId = APP, createdAt = webhook.integer("1771143256161") })
end

local function refused(result, message, code)
  assert(result == nil and message and code)
end

local options = { allow_networks = { "127.0.0.0/8" }, retry = false, close_timeout = 2 }
local hooks = assert(webhook.open(arg[1], options))
refused(webhook.open(arg[1], { allow_networks = { "nowhere" } }))
refused(webhook.open(arg[1], { headers = { Host = "x" }, proxy = "http://127.0.0.1:9" }))
local hook = assert(hooks.webhooks:create({
  app_id = APP, name = "closed port", url = "http://127.0.0.1:9/", events = { "*" }, signing_secret = "secret",
}))
refused(hooks.webhooks:create({ name = "x", url = "nonsense", events = { "*" } }))
assert(hooks.webhooks:update(hook.id, { name = "still closed" }))
local chosen = { headers = { ["X-Key"] = "secret" }, proxy = "http://u:p@127.0.0.1:9", retry = { 1, 2 }, breaker = {},
  rate_limit = { requests = 5 }, allow_networks = { "10.0.0.0/8" }, url = "http://u:p@127.0.0.1:9/" }
assert(hooks.webhooks:update(hook.id, chosen).url_credentials)
refused(hooks.webhooks:update(hook.id, { headers = { Host = "x" } }))
refused(hooks.webhooks:update(hook.id, { allow_networks = { "10.0.0.0/8", "nowhere" } }))
refused(hooks.webhooks:update(hook.id, { url = "http://u%3A:p@127.0.0.1:9/" }))
for name in pairs(chosen) do
  assert(hooks.webhooks:update(hook.id, { [name] = name == "url" and "http://127.0.0.1:9/" or webhook.null }))
end
assert(#hooks.webhooks:list() == 1)

assert(hooks:emit(event("1")))
assert(hooks:emit(event("2"), { durable = false }))
assert(#assert(hooks:emit_all({ event("3"), event("4") })) == 2)
refused(hooks:emit({ event = "job_finished", data = { x = { y = print } } }))
assert(hooks:drain(30))
assert(hooks.log:count() == 4 and hooks.log:where({ status = "failed" }):count() == 4)
for id, delivery in hooks.log:each() do
  assert(hooks.log[id].id == id and #delivery.attempts == 1)
end
assert(hooks.log:resend() == 4)
assert(hooks:drain(30))
assert(hooks:stats().attempts == 8)

local wide = {}
for index = 1, 9000 do wide["k" .. index] = webhook.integer("9223372036854775808") end
assert(webhook.format({ event = "thing", data = wide }, "raw"))
refused(webhook.integer("seven"))
refused(webhook.verify("capawesome", "secret", { ["X-Signature"] = ("0"):rep(64) }, "body"))
refused(webhook.send({ url = "http://127.0.0.1:9/", event = event("5") }))
assert(not pcall(webhook.open, ":memory:", { retry = "yes" }))

assert(hooks.webhooks:delete(hook.id))
assert(hooks:close())
assert(webhook.open(":memory:", options))
collectgarbage()
left_open = assert(webhook.open(":memory:", options)) -- luacheck: ignore 111
