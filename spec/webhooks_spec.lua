local flavour = require("spec.support.flavour")
local raises = require("spec.support.raises")
local webhook = require("webhook")

local SECRET = "a-very-secret-secret"

describe("hooks.webhooks", function()
  local hooks

  before_each(function()
    hooks = assert(webhook.open(":memory:"))
  end)

  after_each(function()
    hooks:close(0)
  end)

  local function fields(changes)
    local all = { name = "CI", url = "https://example.invalid/hook", events = { "*" } }
    for name, value in pairs(changes or {}) do
      all[name] = value
    end
    return all
  end

  local function create(changes)
    return assert(hooks.webhooks:create(fields(changes)))
  end

  local function invalid(what, record, message, code)
    assert.is_nil(record)
    assert.equal("invalid", code)
    assert.truthy(message:find(what, 1, true), message)
    assert.is_nil(message:find(SECRET, 1, true), message)
  end

  -- A value that cannot be is refused at create and at update, where it changes nothing.
  local function refused(what, changes)
    local hook = create()
    invalid(what, hooks.webhooks:create(fields(changes)))
    invalid(what, hooks.webhooks:update(hook.id, changes))
    assert.same(hook, hooks.webhooks:get(hook.id))
  end

  local function names(filter)
    local found = {}
    for index, hook in ipairs(assert(hooks.webhooks:list(filter))) do
      found[index] = hook.name
    end
    return found
  end

  it("creates, gets, changes and deletes", function()
    local hook = create({ app_id = "app", format = "raw", events = { "job_created", "job_finished" } })
    assert.truthy(hook.id:match("^%x+%-%x+%-7%x+%-%x+%-%x+$"), hook.id)
    assert.equal("app", hook.app_id)
    assert.equal("CI", hook.name)
    assert.equal("https://example.invalid/hook", hook.url)
    assert.equal("raw", hook.format)
    assert.same({ "job_created", "job_finished" }, hook.events)
    assert.is_true(hook.enabled)
    assert.is_true(flavour.is_integer(hook.created_at))
    assert.equal(hook.created_at, hook.updated_at)
    assert.same(hook, hooks.webhooks:get(hook.id))

    local changes = { name = "Other", url = "http://example.invalid/", events = { "*" }, enabled = false, app_id = "b" }
    local changed = assert(hooks.webhooks:update(hook.id, changes))
    for name, value in pairs(changes) do
      assert.same(value, changed[name])
    end
    assert.is_true(changed.updated_at >= hook.updated_at)
    assert.equal(hook.created_at, changed.created_at)
    assert.same(changed, hooks.webhooks:get(hook.id))

    assert.is_true(hooks.webhooks:delete(hook.id))
    for _, id in ipairs({ hook.id, "no id", "", ("0"):rep(36) }) do
      assert.equal("not_found", (select(3, hooks.webhooks:get(id))))
      assert.equal("not_found", (select(3, hooks.webhooks:update(id, { name = "x" }))))
      assert.equal("not_found", (select(3, hooks.webhooks:delete(id))))
    end
  end)

  it("names an unknown option at the caller's line", function()
    local hook = create()
    raises("unknown option 'formt' (did you mean 'format'?)", function()
      hooks.webhooks:create({ formt = "raw" })
    end)
    raises("unknown option 'formt' (did you mean 'format'?)", function()
      hooks.webhooks:update(hook.id, { formt = "raw" })
    end)
    raises("unknown option 'querry' (did you mean 'query'?)", function()
      hooks.webhooks:list({ querry = "x" })
    end)
  end)

  it("refuses wrong types at the caller's line", function()
    local hook = create()
    for _, name in ipairs({ "app_id", "name", "url", "format", "events", "signing_secret", "enabled" }) do
      raises(("option '%s' must be "):format(name), function()
        hooks.webhooks:create(fields({ [name] = 7 }))
      end)
      raises(("option '%s' must be "):format(name), function()
        hooks.webhooks:update(hook.id, { [name] = 7 })
      end)
    end
    raises("events[2] must be a string, got number", function()
      hooks.webhooks:create(fields({ events = { "*", 7 } }))
    end)
    for _, name in ipairs({ "name", "url", "events" }) do
      raises(("'%s' is missing"):format(name), function()
        local all = fields()
        all[name] = nil
        hooks.webhooks:create(all)
      end)
    end
  end)

  for what, url in pairs({
    empty = "", file = "file:///etc/passwd", gopher = "gopher://example.com/", none = "example.com/hook", hostless = "http://",
    path = "http:///hook", space = "https://exa mple.com/", space_after = "https://example.com/ ", line = "http://a/\r\nX: y",
    long = "https://example.com/" .. ("x"):rep(2048), port = "http://example.com:99999/", nul = "http://a/\0b",
  }) do
    it("refuses a bad URL: " .. what, function()
      refused("url", { url = url })
    end)
  end

  it("takes a URL of the greatest length", function()
    local start = "https://example.com/"
    create({ url = start .. ("x"):rep(2048 - #start) })
  end)

  it("refuses what a field cannot be", function()
    refused("name", { name = "" })
    refused("name", { name = ("x"):rep(201) })
    refused("name", { name = "a\0b" })
    refused("unknown format 'yaml'", { format = "yaml" })
    refused("format", { format = "" })
    refused("unknown event 'job_finishd' (did you mean 'job_finished'?)", { events = { "job_finishd" } })
    refused("events: the list is empty", { events = {} })
    refused("signing_secret", { signing_secret = "" })
    refused("signing_secret", { signing_secret = ("x"):rep(513) })
  end)

  it("refuses text that is no UTF-8", function()
    refused("name", { name = "a\255" })
  end)

  it("refuses a secret on a chat format, in either order", function()
    for _, format in ipairs({ "slack", "discord", "teams" }) do
      refused("only the raw format is signed", { format = format, signing_secret = SECRET })
      local signed = create({ signing_secret = SECRET })
      invalid("only the raw format is signed", hooks.webhooks:update(signed.id, { format = format }))
      local chat = create({ format = format })
      invalid("only the raw format is signed", hooks.webhooks:update(chat.id, { signing_secret = SECRET }))
      assert(hooks.webhooks:update(signed.id, { format = format, signing_secret = false }))
      assert(hooks.webhooks:update(chat.id, { format = "raw", signing_secret = SECRET }))
    end
  end)

  it("never shows a secret, and clears it with false", function()
    local function shown(value)
      if type(value) ~= "table" then
        return tostring(value)
      end
      local parts = { tostring(value) }
      for name, item in pairs(value) do
        parts[#parts + 1] = tostring(name) .. "=" .. shown(item)
      end
      return table.concat(parts, ";")
    end
    local hook = create({ signing_secret = SECRET })
    assert.is_true(hook.signed)
    for _, value in ipairs({
      hook, hooks.webhooks:get(hook.id), hooks.webhooks:list(), hooks.webhooks:list({ query = "CI" }),
      hooks.webhooks:update(hook.id, { name = "CI 2" }), tostring(hooks), tostring(hooks.webhooks), tostring(hooks.log),
    }) do
      assert.is_nil(shown(value):find(SECRET, 1, true))
    end
    assert.is_true(hooks.webhooks:get(hook.id).signed)
    assert.is_false(assert(hooks.webhooks:update(hook.id, { signing_secret = false })).signed)
    assert.is_false(hooks.webhooks:get(hook.id).signed)
    assert.same({}, hooks.webhooks:list({ query = SECRET }))
  end)

  it("lists the oldest first, by app, with limit and offset", function()
    for index = 1, 5 do
      create({ name = "n" .. index, app_id = index % 2 == 0 and "even" or "odd" })
    end
    assert.same({ "n1", "n2", "n3", "n4", "n5" }, names())
    assert.same({ "n2", "n4" }, names({ app_id = "even" }))
    assert.same({}, names({ app_id = "none" }))
    assert.same({ "n1", "n2" }, names({ limit = 2 }))
    assert.same({ "n4", "n5" }, names({ limit = 2, offset = 3 }))
    assert.same({ "n5" }, names({ app_id = "odd", limit = 9, offset = 2 }))
    assert.same({}, names({ offset = 5 }))
    assert.same({}, names({ limit = 0 }))
  end)

  it("finds a part of the name or URL as it is, in any case", function()
    create({ name = "100% sure" })
    create({ name = "snake_case" })
    create({ name = "back\\slash" })
    create({ name = "plain", url = "https://other.invalid/Path" })
    assert.same({ "100% sure" }, names({ query = "%" }))
    assert.same({ "snake_case" }, names({ query = "_" }))
    assert.same({ "back\\slash" }, names({ query = "\\" }))
    assert.same({ "snake_case" }, names({ query = "SNAKE" }))
    assert.same({ "plain" }, names({ query = "other.INVALID/path" }))
    assert.same({ "100% sure", "snake_case", "back\\slash", "plain" }, names({ query = "" }))
    assert.same({}, names({ query = "'; DROP TABLE webhooks --" }))
  end)

  it("gets nothing while it is disabled, and nothing of other apps or events", function()
    local event = webhook.events.job_finished({ appId = "app" })
    create({ enabled = false })
    create({ app_id = "other" })
    create({ events = { "job_created" } })
    assert.equal(0, assert(hooks:emit(event)).deliveries)
    assert.equal(0, #hooks.log)
    create({ app_id = "app" })
    assert.equal(1, assert(hooks:emit(event)).deliveries)
  end)

  it("cancels what waits for it when it is deleted or disabled", function()
    hooks:close(0)
    -- Nobody listens there: the first attempt fails and the delivery waits for its next one.
    hooks = assert(webhook.open(":memory:", { retry = { 1000, 1000 }, allow_networks = { "127.0.0.0/8" } }))
    local deleted, disabled = create({ url = "http://127.0.0.1:9/" }), create({ url = "http://127.0.0.1:9/" })
    assert(hooks:emit(webhook.events.job_finished({ id = "1" })))
    assert(hooks:drain(10))
    assert.equal(2, hooks.log:where({ status = "pending" }):count())
    assert.is_true(hooks.webhooks:delete(deleted.id))
    assert(hooks.webhooks:update(disabled.id, { enabled = false }))
    assert.equal(0, hooks.log:where({ status = "pending" }):count())
    assert.equal(2, hooks.log:where({ status = "canceled" }):count())
  end)
end)
