-- How deliveries go: what webhook.open and a webhook say, how it is kept, shown, changed and refused. What a text in the store
-- may be, and how two sets become one, stands in spec/core/test_settings.c.
local flavour = require("spec.support.flavour")
local process = require("spec.support.process")
local raises = require("spec.support.raises")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local webhook = require("webhook")
local with = require("spec.support.with")

local SECRET = "hunter2"
local CHILD_SECONDS = 60

-- Each setting: what is given, what the record shows of it (where that differs), and another value.
local FIELDS = {
  timeout = { 30, other = 0.001 },
  connect_timeout = { 2.5, other = 3600 },
  disable_after = { 86400, other = false },
  retry = { { 1, 0.5, 2592000 }, other = false },
  breaker = { { failures = 3, pause = 0.5, max_pause = 60 }, other = false },
  rate_limit = { { requests = 100, seconds = 60 }, other = false },
  max_in_flight = { 1, other = 1024 },
  ordered = { true, other = false },
  headers = { { Authorization = "Bearer " .. SECRET, ["X-Empty"] = "" }, { Authorization = "(hidden)", ["X-Empty"] = "(hidden)" },
    other = { ["X-Key"] = SECRET }, other_shown = { ["X-Key"] = "(hidden)" } },
  user_agent = { "shop/1.0 (+https://shop.example)", other = "x" },
  ca_file = { "/etc/ssl/own.pem", other = "ca.pem" },
  client_cert = { "/etc/ssl/us.pem", other = "us.pem" },
  proxy = { "http://user:" .. SECRET .. "@proxy.example:3128", "http://(hidden)@proxy.example:3128/",
    other = "https://proxy.example", other_shown = "https://proxy.example" },
  http_version = { "1.1", other = "2" },
  max_response_body = { 0, other = 67108864 },
  allow_networks = { { "10.0.0.0/8", "127.0.0.1", "fd00::/8" }, { "10.0.0.0/8", "127.0.0.1/32", "fd00::/8" },
    other = { "::1" }, other_shown = { "::1/128" } },
}
local function shown_of(field)
  if field[2] == nil then return field[1] end
  return field[2]
end
local function other_shown_of(field)
  if field.other_shown == nil then return field.other end
  return field.other_shown
end

-- Other ways to say it.
local SAID = {
  retry = {
    { { base = 1, factor = 3, max = 5, attempts = 4 }, { 1, 3, 5 } },
    { { base = 2, attempts = 3 }, { 2, 4 } },
    { { attempts = 1 }, false },
    { {}, false },
  },
  breaker = {
    { {}, { failures = 10, pause = 5, max_pause = 900 } },
    { { failures = 1 }, { failures = 1, pause = 5, max_pause = 900 } },
    { { pause = 1000 }, { failures = 10, pause = 1000, max_pause = 1000 } },
  },
  rate_limit = { { { requests = 5 }, { requests = 5, seconds = 1 } } },
}

-- Raised at the caller's line.
local MISUSE = {
  { "'timeout' must be number", timeout = "30" },
  { "'timeout' must be number", timeout = false },
  { "'connect_timeout' must be number", connect_timeout = {} },
  { "'retry' must be never or list", retry = 5 },
  { "'retry' must be never or list", retry = true },
  { "retry: delay 2 must be a number, got string", retry = { 1, "2" } },
  { "retry: unknown option 'atempts' (did you mean 'attempts'?)", retry = { atempts = 1 } },
  { "retry: option 'factor' must be positive", retry = { factor = 0 } },
  { "'disable_after' must be number or never", disable_after = true },
  { "'breaker' must be table or never", breaker = true },
  { "breaker: unknown option 'failure' (did you mean 'failures'?)", breaker = { failure = 1 } },
  { "breaker: option 'failures' must be integer", breaker = { failures = 1.5 } },
  { "'rate_limit' must be table or never", rate_limit = 100 },
  { "rate_limit: unknown option 'second' (did you mean 'seconds'?)", rate_limit = { second = 1 } },
  { "rate_limit: 'requests' is missing", rate_limit = { seconds = 1 } },
  { "rate_limit: option 'requests' must be integer", rate_limit = { requests = "5" } },
  { "'max_in_flight' must be integer", max_in_flight = 1.5 },
  { "'ordered' must be boolean", ordered = 1 },
  { "'headers' must be table", headers = "X: y" },
  { "headers: a name must be a string, got number", headers = { "X: y" } },
  { "headers: the value of 'X-A' must be a string, got number", headers = { ["X-A"] = 7 } },
  { "'user_agent' must be string", user_agent = 7 },
  { "'ca_file' must be string", ca_file = false },
  { "'client_cert' must be string", client_cert = {} },
  { "'client_key' must be string", client_key = {} },
  { "'proxy' must be string", proxy = false },
  { "'http_version' must be string", http_version = 2 },
  { "'max_response_body' must be integer", max_response_body = 0.5 },
  { "'allow_networks' must be list", allow_networks = "10.0.0.0/8" },
  { "allow_networks[2] must be a string, got number", allow_networks = { "10.0.0.0/8", 10 } },
  { "unknown option 'rate_limt' (did you mean 'rate_limit'?)", rate_limt = {} },
}

-- nil, message, "invalid"; `raises`: webhook.open's caller wrote it himself, and it raises.
local INVALID = {
  { "timeout: must be 0.001 to 3600 seconds", timeout = 3600.1 },
  { "timeout: must be 0.001 to 3600 seconds", timeout = 0, raises = true },
  { "timeout: must be 0.001 to 3600 seconds", timeout = -1, raises = true },
  { "timeout: must be 0.001 to 3600 seconds", timeout = 0 / 0, raises = true },
  { "timeout: must be 0.001 to 3600 seconds", timeout = math.huge, raises = true },
  { "timeout: must be 0.001 to 3600 seconds", timeout = 0.0001 },
  { "connect_timeout: must be 0.001 to 3600 seconds", connect_timeout = 4000 },
  { "retry: delay 2 must be 0 to 2592000 seconds", retry = { 1, -1 }, raises = true },
  { "retry: delay 1 must be 0 to 2592000 seconds", retry = { 2592001 }, raises = true },
  { "retry: delay 1 must be 0 to 2592000 seconds", retry = { 0 / 0 }, raises = true },
  { "retry: attempts must be 1 to 33", retry = { attempts = 34 }, raises = true },
  { "retry: attempts must be 1 to 33", retry = { attempts = 0 }, raises = true },
  { "retry: more than 32 delays", retry = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1 } },
  { "disable_after: must be 0.001 to 31536000 seconds", disable_after = 0 },
  { "disable_after: must be 0.001 to 31536000 seconds", disable_after = -5 },
  { "disable_after: must be 0.001 to 31536000 seconds", disable_after = 31536001 },
  { "disable_after: must be 0.001 to 31536000 seconds", disable_after = math.huge },
  { "breaker: failures: must be 1 to 1000", breaker = { failures = 0 } },
  { "breaker: failures: must be 1 to 1000", breaker = { failures = 1001 } },
  { "breaker: failures: must be 1 to 1000", breaker = { failures = -2 ^ 40 } },
  { "breaker: pause: must be 0.001 to 86400 seconds", breaker = { pause = 0 } },
  { "breaker: pause: must be 0.001 to 86400 seconds", breaker = { pause = 86401 } },
  { "breaker: max_pause: must be 0.001 to 86400 seconds", breaker = { max_pause = math.huge } },
  { "breaker: max_pause is shorter than pause", breaker = { pause = 5, max_pause = 4 } },
  { "rate_limit: requests: must be 1 to 1000000", rate_limit = { requests = 0 } },
  { "rate_limit: requests: must be 1 to 1000000", rate_limit = { requests = 2 ^ 40 } },
  { "rate_limit: seconds: must be 0.001 to 86400 seconds", rate_limit = { requests = 1, seconds = 0 } },
  { "rate_limit: seconds: must be 0.001 to 86400 seconds", rate_limit = { requests = 1, seconds = 0 / 0 } },
  { "max_in_flight: must be 1 to 1024", max_in_flight = 0 },
  { "max_in_flight: must be 1 to 1024", max_in_flight = 2 ^ 40 },
  { "headers: Host is set by us and cannot be overridden", headers = { host = "x" } },
  { "headers: Webhook-Id is set by us and cannot be overridden", headers = { ["webhook-id"] = "x" } },
  { "headers: User-Agent has a setting of its own, user_agent", headers = { ["User-Agent"] = "x" } },
  { "headers: a name must be letters, digits and", headers = { ["X A"] = "x" } },
  { "headers: a name must be letters, digits and", headers = { [""] = "x" } },
  { "headers: a name must be letters, digits and", headers = { ["X\r\nY"] = "x" } },
  { "headers: a name holds a NUL byte", headers = { ["X\0Y"] = "x" }, raises = true },
  { "headers: the value of X-A holds CR, LF or another control character", headers = { ["X-A"] = SECRET .. "\r\nX-B: c" } },
  { "headers: the value of X-A holds CR, LF or another control character", headers = { ["X-A"] = SECRET .. "\n" } },
  { "headers: the value of 'X-A' holds a NUL byte", headers = { ["X-A"] = SECRET .. "\0" }, raises = true },
  { "headers: the value of 'X-A' is what records show instead of it", headers = { ["X-A"] = "(hidden)" }, raises = true },
  { "headers: x-a stands twice", headers = { ["X-A"] = "1", ["x-a"] = "2" } },
  { "headers: X-A is longer than 4096 bytes", headers = { ["X-A"] = (SECRET):rep(600) } },
  { "user_agent: is empty", user_agent = "" },
  { "user_agent: holds a control character", user_agent = "a\nb" },
  { "user_agent: holds a NUL byte", user_agent = "a\0b", raises = true },
  { "ca_file: is empty", ca_file = "" },
  { "client_cert: is empty", client_cert = "" },
  { "client_key: needs a client_cert", client_key = "/key.pem" },
  { "proxy: scheme 'socks5' is not allowed", proxy = "socks5://user:" .. SECRET .. "@host" },
  { "proxy: the URL must end after its host and port", proxy = "http://user:" .. SECRET .. "@host/path" },
  { "proxy: is what records show instead of it", proxy = "http://(hidden)@host/", raises = true },
  { "http_version: must be '1.1' or '2'", http_version = "3" },
  { "max_response_body: must be 0 to 67108864 bytes", max_response_body = 67108865, raises = true, what = "max_response_body" },
  { "max_response_body: must be 0 to 67108864 bytes", max_response_body = -1, raises = true, what = "max_response_body" },
  { "allow_networks: '10.0.0.1/8' has bits set after its prefix of 8", allow_networks = { "10.0.0.1/8" } },
  { "allow_networks: 'nowhere' is not a network", allow_networks = { "nowhere" } },
  { "allow_networks[1]: holds a NUL byte", allow_networks = { "10.0.0.0/8\0" }, raises = true },
}

local NOT_OPTIONS = { raises = true, what = true }

-- The options of a row.
local function options_of(row)
  local options = {}
  for name, value in pairs(row) do
    if type(name) == "string" and not NOT_OPTIONS[name] then options[name] = value end
  end
  return options
end

local function with_base(changes)
  local all = { name = "CI", url = "https://example.invalid/hook", events = { "*" } }
  for name, value in pairs(changes or {}) do all[name] = value end
  return all
end

-- Everything that can be read in a value.
local function text_of(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = { tostring(value) }
  for name, item in pairs(value) do parts[#parts + 1] = tostring(name) .. "=" .. text_of(item) end
  return table.concat(parts, ";")
end

describe("a webhook's settings", function()
  local hooks

  before_each(function() hooks = assert(webhook.open(":memory:")) end)
  after_each(function() hooks:close(0) end)

  local function create(changes) return assert(hooks.webhooks:create(with_base(changes))) end
  local function update(id, changes) return assert(hooks.webhooks:update(id, changes)) end

  for name, field in pairs(FIELDS) do
    it("keep, change and clear " .. name, function()
      local hook = create({ [name] = field[1] })
      assert.same(shown_of(field), hook[name])
      assert.same(hook, hooks.webhooks:get(hook.id))
      assert.same(hook, hooks.webhooks:list()[1])
      assert.same(shown_of(field), update(hook.id, { name = "other" })[name])
      assert.same(other_shown_of(field), update(hook.id, { [name] = field.other })[name])
      assert.same(other_shown_of(field), hooks.webhooks:get(hook.id)[name])
      assert.is_nil(update(hook.id, { [name] = webhook.null })[name])
      assert.is_nil(hooks.webhooks:get(hook.id)[name])
      assert.same(shown_of(field), update(hook.id, { [name] = field[1] })[name])
      assert.is_nil(create({ [name] = webhook.null })[name])
    end)
  end

  it("keep, change and clear a client_key, which needs a client_cert", function()
    local hook = create({ client_cert = "/c.pem", client_key = "/k.pem" })
    assert.equal("/k.pem", hook.client_key)
    assert.equal("/l.pem", update(hook.id, { client_key = "/l.pem" }).client_key)
    local record, message, code = hooks.webhooks:update(hook.id, { client_cert = webhook.null })
    assert.is_nil(record)
    assert.equal("client_key: needs a client_cert", message)
    assert.equal("invalid", code)
    assert.is_nil(update(hook.id, { client_cert = webhook.null, client_key = webhook.null }).client_key)
  end)

  it("are shown only where they are said, and whole numbers as such", function()
    local hook = create()
    for name in pairs(FIELDS) do assert.is_nil(hook[name]) end
    assert.is_nil(hook.failing_since)
    assert.is_nil(hook.url_credentials)
    hook = create({ timeout = 30, retry = { 5, 0.5 }, max_response_body = 7 })
    assert.is_true(flavour.is_integer(hook.timeout))
    assert.is_true(flavour.is_integer(hook.retry[1]))
    assert.is_true(flavour.is_integer(hook.max_response_body))
  end)

  for name, rows in pairs(SAID) do
    it("may say " .. name .. " in other ways", function()
      for _, row in ipairs(rows) do
        local hook = create({ [name] = row[1] })
        assert.same(row[2], hook[name])
        assert.same(row[2], update(hook.id, { [name] = row[1] })[name])
      end
    end)
  end

  it("are all kept together, also over a change and a reopening", function()
    temp.with_folder(function(folder)
      local path = folder .. "/webhooks.db"
      local given, shown = {}, {}
      for name, field in pairs(FIELDS) do given[name], shown[name] = field[1], shown_of(field) end
      given.client_key, shown.client_key = "/k.pem", "/k.pem"
      local id
      with(assert(webhook.open(path)), function(opened)
        id = assert(opened.webhooks:create(with_base(given))).id
        assert(opened.webhooks:update(id, { name = "renamed", timeout = 7 }))
      end)
      shown.timeout = 7
      with(assert(webhook.open(path)), function(opened)
        local hook = assert(opened.webhooks:get(id))
        assert.equal("renamed", hook.name)
        for name, value in pairs(shown) do assert.same(value, hook[name]) end
        for name in pairs(shown) do assert(opened.webhooks:update(id, { client_key = webhook.null, [name] = webhook.null })) end
        hook = assert(opened.webhooks:get(id))
        for name in pairs(shown) do assert.is_nil(hook[name]) end
      end)
    end)
  end)

  it("replace lists as a whole, and an empty one clears", function()
    local hook = create({ headers = { ["X-A"] = "1", ["X-B"] = "2" }, allow_networks = { "10.0.0.0/8" } })
    hook = update(hook.id, { headers = { ["X-C"] = "3" } })
    assert.same({ ["X-C"] = "(hidden)" }, hook.headers)
    assert.same({ "10.0.0.0/8" }, hook.allow_networks)
    hook = update(hook.id, { headers = {}, allow_networks = {} })
    assert.is_nil(hook.headers)
    assert.is_nil(hook.allow_networks)
  end)

  it("are refused at the caller's line where they are misused", function()
    local hook = create()
    for _, row in ipairs(MISUSE) do
      raises(row[1], function() hooks.webhooks:create(with_base(options_of(row))) end)
      raises(row[1], function() hooks.webhooks:update(hook.id, options_of(row)) end)
    end
    assert.same(hook, hooks.webhooks:get(hook.id))
  end)

  it("are refused where they cannot be, and then change nothing", function()
    local hook = create({ headers = { ["X-A"] = SECRET } })
    for _, row in ipairs(INVALID) do
      for _, call in ipairs({
        function(options) return hooks.webhooks:create(with_base(options)) end,
        function(options) return hooks.webhooks:update(hook.id, options) end,
      }) do
        local record, message, code = call(options_of(row))
        assert.is_nil(record, row[1])
        assert.equal("invalid", code, message)
        assert.truthy(message:find(row[1], 1, true), ("expected: %s\ngot: %s"):format(row[1], message))
        assert.is_nil(message:find(SECRET, 1, true), message)
      end
    end
    assert.same({ hook }, hooks.webhooks:list())
  end)

  it("have at most 32 headers, 64 networks and 64 KiB in all", function()
    local headers, networks = {}, {}
    for i = 1, 32 do headers["X-" .. i] = "v" end
    for i = 1, 64 do networks[i] = "10.0.0." .. i end
    local hook = create({ headers = headers, allow_networks = networks })
    assert.equal(64, #hook.allow_networks)
    headers["X-33"], networks[65] = "v", "10.0.1.1"
    assert.same({ nil, "headers: more than 32", "invalid" }, { hooks.webhooks:update(hook.id, { headers = headers }) })
    assert.same({ nil, "allow_networks: more than 64 networks", "invalid" },
      { hooks.webhooks:update(hook.id, { allow_networks = networks }) })
    headers["X-33"] = nil
    for name in pairs(headers) do headers[name] = ("v"):rep(4000) end
    local record, message, code = hooks.webhooks:update(hook.id, { headers = headers })
    assert.is_nil(record)
    assert.equal("settings: longer than 65536 bytes together", message)
    assert.equal("invalid", code)
    assert.same(hook, hooks.webhooks:get(hook.id))
  end)

  it("never show a secret", function()
    local hook = create({ url = "https://user:" .. SECRET .. "@example.invalid/hook", headers = { ["X-Key"] = SECRET },
      proxy = "http://user:" .. SECRET .. "@proxy.example" })
    for _, value in ipairs({
      hook, hooks.webhooks:get(hook.id), hooks.webhooks:list(), hooks.webhooks:update(hook.id, { name = "b" }),
      tostring(hooks), tostring(hooks.webhooks),
    }) do
      assert.is_nil(text_of(value):find(SECRET, 1, true))
    end
    assert.same({}, hooks.webhooks:list({ query = SECRET }))
  end)

  describe("made of a URL's credentials", function()
    local WITH = "https://user:" .. SECRET .. "@example.invalid/hook?a=b"
    local WITHOUT = "https://example.invalid/hook?a=b"

    it("leave the URL, and stay with it", function()
      local hook = create({ url = WITH })
      assert.equal(WITHOUT, hook.url)
      assert.is_true(hook.url_credentials)
      assert.is_true(update(hook.id, { name = "b" }).url_credentials)
      assert.is_true(update(hook.id, { url = WITHOUT }).url_credentials)
      assert.same({ hook.id }, { hooks.webhooks:list({ query = WITHOUT })[1].id })
      hook = update(hook.id, { url = "https://example.invalid/other" })
      assert.is_nil(hook.url_credentials)
      assert.is_nil(update(hook.id, { url = WITHOUT }).url_credentials)
      assert.is_true(update(hook.id, { url = WITH }).url_credentials)
    end)

    it("allow no Authorization beside them, in either order", function()
      local beside = { Authorization = "Bearer x" }
      local expected = "headers: Authorization is made from the credentials in the URL"
      assert.same({ nil, expected, "invalid" }, { hooks.webhooks:create(with_base({ url = WITH, headers = beside })) })
      local hook = create({ url = WITH })
      assert.same({ nil, expected, "invalid" }, { hooks.webhooks:update(hook.id, { headers = beside }) })
      hook = update(hook.id, { url = WITHOUT .. "&c=d", headers = beside })
      assert.same({ nil, expected, "invalid" }, { hooks.webhooks:update(hook.id, { url = WITH }) })
      assert.is_true(update(hook.id, { url = WITH, headers = webhook.null }).url_credentials)
    end)

    it("must be a line of text", function()
      for _, url in ipairs({ "https://u:" .. SECRET .. "%0d%0aX@example.invalid/", "https://a%3Ab:" .. SECRET .. "@example.invalid/" }) do
        local record, message, code = hooks.webhooks:create(with_base({ url = url }))
        assert.is_nil(record)
        assert.equal("invalid", code)
        assert.truthy(message:find("^url: "), message)
        assert.is_nil(message:find(SECRET, 1, true), message)
      end
    end)
  end)
end)

describe("a dispatcher's settings", function()
  it("are taken by webhook.open", function()
    for name, field in pairs(FIELDS) do
      for _, value in ipairs({ field[1], field.other }) do
        with(assert(webhook.open(":memory:", { [name] = value })), function(hooks)
          assert.is_nil(assert(hooks.webhooks:create(with_base()))[name]) -- the record shows what it says itself
        end)
      end
    end
    for name, rows in pairs(SAID) do
      for _, row in ipairs(rows) do assert(webhook.open(":memory:", { [name] = row[1] })):close() end
    end
  end)

  it("are refused at the caller's line where they are misused", function()
    for _, row in ipairs(MISUSE) do
      local wanted = row[1]:gsub("^'timeout' must be number", "'timeout' must be positive")
        :gsub("^'connect_timeout' must be number", "'connect_timeout' must be positive")
      raises(wanted, function()
        local hooks = webhook.open(":memory:", options_of(row))
        hooks:close()
      end)
    end
    raises("option 'timeout' must be positive", function()
      local hooks = webhook.open(":memory:", { timeout = webhook.null })
      hooks:close()
    end)
  end)

  it("are refused where they cannot be", function()
    for _, row in ipairs(INVALID) do
      local ok, hooks, message, code = pcall(webhook.open, ":memory:", options_of(row))
      if row.raises then
        assert.is_false(ok, row[1])
        message = hooks
      else
        assert.is_true(ok, row[1])
        assert.is_nil(hooks, row[1])
        assert.equal("invalid", code)
        assert.truthy(message:find(row[1], 1, true), ("expected: %s\ngot: %s"):format(row[1], message))
      end
      assert.is_nil(message:find(SECRET, 1, true), message)
    end
    raises("webhook.open: retry: delay 2 must be 0 to 2592000 seconds", function()
      local hooks = webhook.open(":memory:", { retry = { 1, -1 } })
      hooks:close()
    end)
  end)

  it("say how much may be under way at once", function()
    for _, name in ipairs({ "connections", "max_in_flight_per_host" }) do
      for _, value in ipairs({ 1, 1024 }) do assert(webhook.open(":memory:", { [name] = value })):close() end
      for _, value in ipairs({ 0, 1025 }) do
        raises(("option '%s' must be 1 to 1024"):format(name), function()
          local hooks = webhook.open(":memory:", { [name] = value })
          hooks:close()
        end)
      end
    end
  end)
end)

-- arg: database, id, field, times. Sets the field to 1, 2, 3, …, and looks each time that what it had set is still there.
local CHILD = [=[
local webhook = require("webhook")
local hooks = assert(webhook.open(arg[1]))
for value = 1, tonumber(arg[4]) do
  local record = assert(hooks.webhooks:update(arg[2], { [arg[3]] = value }))
  assert(record[arg[3]] == value)
  record = assert(hooks.webhooks:get(arg[2]))
  assert(record[arg[3]] == value, "lost " .. value)
end
assert(hooks:close())
]=]

describe("two processes that update one webhook", function()
  it("keep what the other changed", function()
    temp.with_folder(function(folder)
      local path, script, times = folder .. "/webhooks.db", folder .. "/child.lua", 100
      shell.write_file(script, CHILD)
      with(assert(webhook.open(path)), function(hooks)
        local id = assert(hooks.webhooks:create(with_base())).id
        local children = {}
        for index, field in ipairs({ "timeout", "max_in_flight" }) do
          children[index] = process.start(script, { args = { path, id, field, tostring(times) } })
        end
        for _, child in ipairs(children) do
          with(child, function() assert.equal(0, child:wait(CHILD_SECONDS), child:output()) end)
        end
        local hook = assert(hooks.webhooks:get(id))
        assert.equal(times, hook.timeout)
        assert.equal(times, hook.max_in_flight)
      end)
    end)
  end)
end)
