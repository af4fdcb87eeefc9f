-- Which webhooks an event reaches: patterns of names, fields of data, channels.
local flavour = require("spec.support.flavour")
local raises = require("spec.support.raises")
local sample = require("spec.support.sample")
local start_receiver = require("spec.support.receiver").start
local temp = require("spec.support.temp")
local webhook = require("webhook")

local null = webhook.null

local function define(name, options)
  if not webhook.events.is_known(name) then
    webhook.events.define(name, options)
  end
end

describe("the choice of events", function()
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

  local function reached(event, options)
    return assert(hooks:emit(event, options)).deliveries
  end

  local function invalid(what, record, message, code)
    assert.is_nil(record)
    assert.equal("invalid", code)
    assert.truthy(message:find(what, 1, true), message)
  end

  -- A value that cannot be is refused at create and at update, where it changes nothing.
  local function refused(what, changes)
    local hook = create()
    invalid(what, hooks.webhooks:create(fields(changes)))
    invalid(what, hooks.webhooks:update(hook.id, changes))
    assert.same(hook, hooks.webhooks:get(hook.id))
  end

  -- A wrong type raises at the line of the caller, in both.
  local function raised(what, changes)
    local hook = create()
    raises("webhooks:create: " .. what, function()
      hooks.webhooks:create(fields(changes))
    end)
    raises("webhooks:update: " .. what, function()
      hooks.webhooks:update(hook.id, changes)
    end)
  end

  describe("by name", function()
    local function names_reached(patterns)
      local hook = create({ events = patterns })
      local reaches = {}
      for _, name in ipairs({ "app_build_created", "app_deployment_created", "job_created", "job_finished" }) do
        if reached({ event = name, data = {} }) == 1 then
          reaches[#reaches + 1] = name
        end
      end
      assert.is_true(hooks.webhooks:delete(hook.id))
      return reaches
    end

    it("takes a star for any run of characters", function()
      assert.same({ "job_created", "job_finished" }, names_reached({ "job_*" }))
      assert.same({ "app_build_created", "app_deployment_created", "job_created" }, names_reached({ "*_created" }))
      assert.same({ "app_build_created", "app_deployment_created" }, names_reached({ "app_*_created" }))
      assert.same({ "app_build_created", "job_finished" }, names_reached({ "job_finished", "*build*" }))
      assert.same({}, names_reached({ "*_finished_*" }))
      assert.equal(4, #names_reached({ "*" }))
      assert.equal(4, #names_reached({ "**" }))
    end)

    it("gives the patterns back as they were set", function()
      local hook = create({ events = { "job_*", "app_build_created", "*_paid" } })
      assert.same({ "job_*", "app_build_created", "*_paid" }, hook.events)
      assert.same(hook, hooks.webhooks:get(hook.id))
    end)

    it("reaches events that are defined after the webhook", function()
      create({ events = { "filter_spec.later_*" } })
      define("filter_spec.later_one")
      assert.equal(1, reached({ event = "filter_spec.later_one", data = {} }))
    end)

    it("sends one delivery, however many patterns match", function()
      create({ events = { "job_*", "*_created", "*", "job_created" } })
      assert.equal(1, reached({ event = "job_created", data = {} }))
    end)

    it("refuses what no name can have", function()
      for _, pattern in ipairs({ "job *", "job_*,a", "*\n", "*\0", "é*", "*/x", ("*"):rep(65) }) do
        refused("events: ", { events = { pattern } })
      end
      refused("unknown event 'job_finishd' (did you mean 'job_finished'?)", { events = { "job_*", "job_finishd" } })
    end)
  end)

  describe("by fields of data", function()
    -- Whether an event with that data reaches a webhook with that filter.
    local function passes(filter, data)
      define("filter_spec.anything")
      local hook = create({ events = { "filter_spec.anything" }, filter = filter })
      local deliveries = reached({ event = "filter_spec.anything", data = data })
      assert.is_true(hooks.webhooks:delete(hook.id))
      return deliveries == 1
    end

    it("sends only failed jobs", function()
      create({ events = { "job_finished" }, filter = { status = "failed" } })
      assert.equal(1, reached(webhook.events.job_finished({ status = "failed" })))
      assert.equal(0, reached(webhook.events.job_finished({ status = "succeeded" })))
      assert.equal(0, reached(webhook.events.job_finished({})))
    end)

    it("takes a value, or one of a list", function()
      assert.is_true(passes({ status = "failed" }, { status = "failed" }))
      assert.is_false(passes({ status = "failed" }, { status = "Failed" }))
      assert.is_true(passes({ status = { "failed", "timed_out" } }, { status = "timed_out" }))
      assert.is_false(passes({ status = { "failed", "timed_out" } }, { status = "succeeded" }))
      assert.is_true(passes({ on = true }, { on = true }))
      assert.is_false(passes({ on = true }, { on = false }))
      assert.is_true(passes({ on = false }, { on = false }))
      assert.is_false(passes({ on = false }, { on = null }))
      assert.is_false(passes({ on = false }, {}))
      assert.is_false(passes({ on = true }, { on = "true" }))
      assert.is_true(passes({ x = { 1, "one", true, null } }, { x = "one" }))
      assert.is_true(passes({ x = { 1, "one", true, null } }, { x = 1 }))
      assert.is_true(passes({ x = { 1, "one", true, null } }, { x = null }))
      assert.is_false(passes({ x = { 1, "one", true, null } }, { x = "1" }))
      assert.is_false(passes({ x = { 1, "one", true, null } }, { x = false }))
    end)

    it("wants all of its fields", function()
      local filter = { status = { "failed", "timed_out" }, stack = "macos", attempt = 2 }
      assert.is_true(passes(filter, { status = "failed", stack = "macos", attempt = 2 }))
      assert.is_false(passes(filter, { status = "failed", stack = "macos", attempt = 3 }))
      assert.is_false(passes(filter, { status = "failed", stack = "linux", attempt = 2 }))
      assert.is_false(passes(filter, { stack = "macos", attempt = 2 }))
    end)

    it("looks into tables by dotted paths", function()
      local data = { customer = { country = "DE", tags = { "new", "big" } }, items = { { sku = "a" }, { sku = "b" } } }
      assert.is_true(passes({ ["customer.country"] = "DE" }, data))
      assert.is_false(passes({ ["customer.country"] = "FR" }, data))
      assert.is_true(passes({ ["items.2.sku"] = "b" }, data))
      assert.is_true(passes({ ["customer.tags.1"] = "new" }, data))
      assert.is_false(passes({ ["customer.tags"] = "new" }, data))
      assert.is_false(passes({ ["customer.country.code"] = "DE" }, data))
      assert.is_false(passes({ ["items.3.sku"] = "b" }, data))
    end)

    it("asks whether a field exists; null does not", function()
      local there, absent = webhook.events.exists, { exists = false }
      assert.is_true(passes({ a = there }, { a = "" }))
      assert.is_true(passes({ a = there }, { a = false }))
      assert.is_true(passes({ a = there }, { a = { b = 1 } }))
      assert.is_true(passes({ a = { exists = true } }, { a = 0 }))
      assert.is_false(passes({ a = there }, { a = null }))
      assert.is_false(passes({ a = there }, { b = 1 }))
      assert.is_false(passes({ ["a.b"] = there }, { a = "text" }))
      assert.is_true(passes({ a = absent }, { a = null }))
      assert.is_true(passes({ a = absent }, { b = 1 }))
      assert.is_true(passes({ ["a.b"] = absent }, { a = null }))
      assert.is_false(passes({ a = absent }, { a = false }))
      assert.is_true(passes({ a = null }, { a = null }))
      assert.is_true(passes({ a = null }, {}))
      assert.is_false(passes({ a = null }, { a = 0 }))
      create({ events = { "job_finished" }, filter = { appDeploymentId = there } })
      assert.equal(1, reached(webhook.events.job_finished({ appDeploymentId = "x" })))
      assert.equal(0, reached(webhook.events.job_finished({ appBuildId = "x" })))
    end)

    it("compares numbers by value, and integers to the last digit", function()
      local wide = webhook.integer
      assert.is_true(passes({ n = 1 }, { n = 1.0 }))
      assert.is_true(passes({ n = 1.0 }, { n = 1 }))
      assert.is_true(passes({ n = 0.25 }, { n = 0.25 }))
      assert.is_false(passes({ n = 1 }, { n = 1.5 }))
      assert.is_true(passes({ n = -0.0 }, { n = 0 }))
      assert.is_true(passes({ n = 1 }, { n = wide("1") }))
      assert.is_true(passes({ n = wide("1") }, { n = 1 }))
      assert.is_true(passes({ n = wide("9007199254740993") }, { n = wide("9007199254740993") }))
      assert.is_false(passes({ n = wide("9007199254740993") }, { n = wide("9007199254740992") }))
      assert.is_false(passes({ n = 2 ^ 53 }, { n = wide("9007199254740993") }))
      assert.is_true(passes({ n = 2 ^ 53 }, { n = wide("9007199254740992") }))
      assert.is_true(passes({ n = wide("18446744073709551615") }, { n = wide("18446744073709551615") }))
      assert.is_false(passes({ n = wide("18446744073709551615") }, { n = wide("18446744073709551614") }))
      assert.is_false(passes({ n = 2 ^ 64 }, { n = wide("18446744073709551615") }))
      assert.is_true(passes({ n = -2 ^ 63 }, { n = wide("-9223372036854775808") }))
      assert.is_false(passes({ n = -1 }, { n = wide("18446744073709551615") }))
    end)

    if flavour.has_integers then
      it("knows the integers of this Lua", function()
        local wide = math.tointeger(2 ^ 53) + 1
        assert.is_true(passes({ n = wide }, { n = wide }))
        assert.is_false(passes({ n = wide }, { n = 2 ^ 53 }))
        assert.is_true(passes({ n = math.mininteger }, { n = math.mininteger }))
        local filter = create({ filter = { n = wide, m = 1.0 } }).filter
        assert.equal("integer", math.type(filter.n))
        assert.equal(wide, filter.n)
        assert.equal("float", math.type(filter.m))
      end)
    end

    if flavour.has_ffi_integers then
      it("knows the integers of the FFI", function()
        local wide = loadstring("return 9007199254740993LL")()
        assert.is_true(passes({ n = wide }, { n = wide }))
        assert.is_false(passes({ n = { wide } }, { n = 2 ^ 53 }))
        assert.equal("9007199254740993", tostring(create({ filter = { n = wide } }).filter.n))
      end)
    end

    it("is safe with any text", function()
      for _, text in ipairs({
        "", "a'b", 'a"b', "a\nb\r\n", "';DROP TABLE webhooks --", "s1:x|.+-=;", "%d%s", "ü€🎉", "1.1:a=n", "\1\127\\",
        ("x"):rep(8000),
      }) do
        assert.is_true(passes({ x = text }, { x = text }))
        assert.is_true(passes({ x = { "other", text } }, { x = text }))
        assert.is_false(passes({ x = text }, { x = text .. "." }))
      end
      for _, name in ipairs({ "a b", "a'b", 'a"b', "a\nb", "=", "|", "+", "-", "1:a", "ü€🎉", "%s", ("x"):rep(256) }) do
        assert.is_true(passes({ [name] = 1 }, { [name] = 1 }))
        assert.is_false(passes({ [name] = 1 }, { [name] = 2 }))
        assert.same({ [name] = { 1, "x" } }, create({ filter = { [name] = { 1, "x" } } }).filter)
      end
    end)

    it("is given back in the shape in which it was set", function()
      local filter = {
        status = { "failed", "timed_out" }, stack = { "macos" }, appId = "x", ["customer.country"] = "D\nE", on = true,
        off = false, none = null, some = { null, false, 0.5, "" }, there = webhook.events.exists, absent = { exists = false },
        wide = webhook.integer("-9223372036854775807"), wider = { webhook.integer("18446744073709551615") }, count = 3,
      }
      local hook = create({ filter = filter })
      for name, value in pairs(filter) do
        -- On Lua with 64-bit integers, a wide one that fits comes back as a number.
        if name == "wide" then
          assert.equal(tostring(value), tostring(hook.filter.wide))
          hook.filter.wide = value
        end
        assert.same(value, hook.filter[name])
      end
      assert.same(filter, hook.filter)
      local again = assert(hooks.webhooks:create(fields({ filter = hooks.webhooks:get(hook.id).filter })))
      assert.same(hooks.webhooks:get(hook.id).filter, again.filter)
      assert.same(again.filter, hooks.webhooks:list({ offset = 1 })[1].filter)
    end)

    it("changes while running, and false clears it", function()
      local hook = create({ filter = { status = "failed" } })
      local function job(status)
        return reached(webhook.events.job_finished({ status = status }))
      end
      assert.same({ 1, 0 }, { job("failed"), job("canceled") })
      assert.same({ status = "failed" }, assert(hooks.webhooks:update(hook.id, { name = "x" })).filter)
      assert.same({ 1, 0 }, { job("failed"), job("canceled") })
      assert.same({ status = "canceled" },
        assert(hooks.webhooks:update(hook.id, { filter = { status = "canceled" } })).filter)
      assert.same({ 0, 1 }, { job("failed"), job("canceled") })
      assert.is_nil(assert(hooks.webhooks:update(hook.id, { filter = false })).filter)
      assert.is_nil(hooks.webhooks:get(hook.id).filter)
      assert.same({ 1, 1 }, { job("failed"), job("canceled") })
      assert.is_nil(create({ filter = false }).filter)
    end)

    it("holds for each event of a batch, and for one that is not waited for", function()
      create({ filter = { status = { "failed" } } })
      local failed, canceled =
        webhook.events.job_finished({ status = "failed" }), webhook.events.job_finished({ status = "canceled" })
      local messages = assert(hooks:emit_all({ failed, canceled, failed }))
      assert.same({ 1, 0, 1 }, { messages[1].deliveries, messages[2].deliveries, messages[3].deliveries })
      assert(hooks:emit(failed, { durable = false }))
      assert(hooks:emit(canceled, { durable = false }))
      assert.is_true(hooks:flush(10))
      assert.equal(3, hooks.log:where({}):count())
    end)

    it("raises for wrong types at the caller's line", function()
      raised("option 'filter' must be ", { filter = "status" })
      raised("filter: a field must be a string, got number", { filter = { "failed" } })
      raised("filter: field 'status' must be a string, number", { filter = { status = print } })
      raised("filter: field 'status': unknown option 'exist' (did you mean 'exists'?)",
        { filter = { status = { exist = true } } })
      raised("filter: field 'status': option 'exists' must be boolean, got string",
        { filter = { status = { exists = "yes" } } })
      raised("filter: field 'status': unknown option '1'", { filter = { status = { "failed", exists = true } } })
      raised("filter: field 'status'[2] must be a string, number", { filter = { status = { "failed", {} } } })
      raised("filter: field 'status'[1] must be a string, number", { filter = { status = { [2] = "failed" } } })
    end)

    it("refuses what cannot be", function()
      refused("filter: is empty", { filter = {} })
      refused("filter: field 'status': the list is empty", { filter = { status = {} } })
      refused("filter: field 'n': cannot be NaN or infinity", { filter = { n = 0 / 0 } })
      refused("filter: field 'n': cannot be NaN or infinity", { filter = { n = { 1, -math.huge } } })
      refused("filter: field 'a': holds a NUL byte", { filter = { a = "x\0y" } })
      refused("filter: field 'a': is not valid UTF-8", { filter = { a = "x\255" } })
      for _, name in ipairs({ "", ".", "a.", ".a", "a..b", "a\0b", "a\255", ("x"):rep(257) }) do
        refused("filter: a field is 1 to 256 bytes", { filter = { [name] = 1 } })
      end
      refused("filter: longer than 16384 bytes", { filter = { a = ("x"):rep(16385) } })
      local many, list = {}, {}
      for i = 1, 33 do
        many["f" .. i] = i
      end
      for i = 1, 65 do
        list[i] = i
      end
      refused("filter: has more than 32 fields", { filter = many })
      refused("filter: field 'a': has more than 64 values", { filter = { a = list } })
      many.f33, list[65] = nil, nil
      assert.same(many, create({ filter = many }).filter)
      assert.same({ a = list }, create({ filter = { a = list } }).filter)
    end)
  end)

  describe("by channel", function()
    local event

    before_each(function()
      event = webhook.events.job_finished({ id = "1" })
      create({ name = "all" })
      create({ name = "acme", channels = { "acme" } })
      create({ name = "both", channels = { "acme", "beta" } })
      create({ name = "other", channels = { "acme.x" } })
    end)

    it("reaches the webhooks that have one of its channels, and those that have none", function()
      assert.equal(3, reached(event, { channels = { "acme" } }))
      assert.equal(2, reached(event, { channels = { "beta" } }))
      assert.equal(3, reached(event, { channels = { "beta", "acme" } }))
      assert.equal(4, reached(event, { channels = { "gamma", "acme.x", "acme" } }))
      assert.equal(1, reached(event, { channels = { "ACME" } }))
    end)

    it("without channels reaches the webhooks without channels", function()
      assert.equal(1, reached(event))
    end)

    it("holds for batches, and for what is not waited for", function()
      local messages = assert(hooks:emit_all({ event, event }, { channels = { "beta" } }))
      assert.same({ 2, 2 }, { messages[1].deliveries, messages[2].deliveries })
      local before = hooks.log:where({}):count()
      local channels = { "be" .. "ta" }
      assert(hooks:emit(event, { channels = channels, durable = false }))
      channels[1] = nil
      collectgarbage()
      assert.is_true(hooks:flush(10))
      assert.equal(before + 2, hooks.log:where({}):count())
    end)

    it("is a choice beside events and filter", function()
      create({ events = { "job_*" }, channels = { "beta" }, filter = { id = "1" } })
      assert.equal(3, reached(event, { channels = { "beta" } }))
      assert.equal(1, reached(event))
      assert.equal(2, reached(webhook.events.job_finished({ id = "2" }), { channels = { "beta" } }))
      assert.equal(2, reached(webhook.events.app_build_created({ id = "1" }), { channels = { "beta" } }))
    end)

    it("is given back, changes, and false clears it", function()
      local hook = create({ channels = { "b", "a.B:c-_9" } })
      assert.same({ "b", "a.B:c-_9" }, hook.channels)
      assert.same(hook, hooks.webhooks:get(hook.id))
      assert.same({ "b", "a.B:c-_9" }, assert(hooks.webhooks:update(hook.id, { name = "x" })).channels)
      assert.same({ "c" }, assert(hooks.webhooks:update(hook.id, { channels = { "c" } })).channels)
      assert.equal(2, reached(event, { channels = { "c" } }))
      assert.is_nil(assert(hooks.webhooks:update(hook.id, { channels = false })).channels)
      assert.equal(2, reached(event))
    end)

    it("raises for wrong types at the caller's line", function()
      raised("option 'channels' must be ", { channels = "acme" })
      raised("channels[2] must be a string, got number", { channels = { "acme", 7 } })
      raises("emit: option 'channels' must be list, got string", function()
        hooks:emit(event, { channels = "acme" })
      end)
      raises("emit: channels[1] must be a string, got boolean", function()
        hooks:emit(event, { channels = { true } })
      end)
      raises("emit_all: channels[1] must be a string, got boolean", function()
        hooks:emit_all({ event }, { channels = { true } })
      end)
    end)

    it("refuses what cannot be, and then nothing is emitted", function()
      local many = {}
      for i = 1, 33 do
        many[i] = "c" .. i
      end
      local before = hooks:stats().events
      for what, channels in pairs({
        ["channels: the list is empty"] = {}, ["channels: more than 32"] = many, ["channels: a name is 1 to 64"] = { "a", "" },
      }) do
        refused(what, { channels = channels })
        invalid(what, hooks:emit(event, { channels = channels }))
        invalid(what, hooks:emit_all({ event }, { channels = channels }))
      end
      for _, name in ipairs({ "a,b", "a b", "a*", "é", "a\0", "\n", ("x"):rep(65) }) do
        refused("channels: a name is 1 to 64", { channels = { name } })
        invalid("channels: a name is 1 to 64", hooks:emit(event, { channels = { name } }))
      end
      assert.equal(before, hooks:stats().events)
      many[33] = nil
      assert.same(many, create({ channels = many }).channels)
      local without = reached(event)
      assert.equal(without + 1, reached(event, { channels = many }))
      assert.equal(without, reached(event, { channels = { ("x"):rep(64) } }))
    end)
  end)
end)

describe("a choice of events on disk", function()
  local receiver, folder

  setup(function() receiver = start_receiver() end)
  teardown(function() receiver:stop() end)

  before_each(function()
    receiver:reset()
    folder = temp.folder()
  end)

  after_each(function() folder:remove() end)

  it("is one line for failed jobs to Slack, and outlives the process", function()
    local hooks = sample.open(folder)
    sample.hook(hooks, receiver.url .. "/ok/slack",
      { format = "slack", events = { "job_*" }, channels = { "acme" }, filter = { status = { "failed", "timed_out" } } })
    hooks:close()
    hooks = sample.open(folder)
    local event = sample.job_finished()
    assert.equal(0, assert(hooks:emit(event, { channels = { "acme" } })).deliveries)
    event.data.status = "failed"
    assert.equal(0, assert(hooks:emit(event)).deliveries)
    assert.equal(1, assert(hooks:emit(event, { channels = { "acme" } })).deliveries)
    assert.is_true(hooks:drain(10))
    assert.equal((webhook.format(event, "slack")), receiver:last("/ok/slack").body)
    assert.equal(1, hooks.log:where({ status = "succeeded" }):count())
    hooks:close(0)
  end)
end)
