-- Receiving in nginx: a real one, with two workers, asked over real connections.
local cjson = require("cjson")
local nginx_app = require("spec.support.nginx_app")
local samples = require("spec.support.samples")
local vectors = require("spec.support.vectors")
local wait = require("spec.support.wait")
local webhook = require("webhook")

-- Where bodies stand: three servers, told apart by their names.
local HTTP = [[
  lua_shared_dict seen 1m;
  lua_shared_dict state 1m;
  client_max_body_size 4m;
  underscores_in_headers on;
  large_client_header_buffers 8 32k;
  server {
    listen 127.0.0.1:$PORT reuseport;
    server_name memory;
    client_body_buffer_size 4m;
    include "$FOLDER/locations.conf";
  }
  server {
    listen 127.0.0.1:$PORT;
    server_name buffered;
    client_body_buffer_size 8;
    include "$FOLDER/locations.conf";
  }
  server {
    listen 127.0.0.1:$PORT;
    server_name file;
    client_body_in_file_only clean;
    include "$FOLDER/locations.conf";
  }
]]
local PLACES = { "memory", "buffered", "file" }

local LOCATIONS = [[
  location / {
    access_by_lua_block { require("apps").verify() }
    content_by_lua_block { require("apps").content() }
    header_filter_by_lua_block { ngx.header["X-Worker"] = ngx.worker.pid() }
    log_by_lua_block { require("webhook.resty").settle() }
  }
  location = /in-rewrite {
    rewrite_by_lua_block { require("apps").verify() }
    content_by_lua_block { require("apps").content() }
  }
  location = /in-content {
    content_by_lua_block { require("apps").verify() require("apps").content() }
  }
  location = /file-is-gone {
    rewrite_by_lua_block { ngx.req.read_body() os.remove(ngx.req.get_body_file()) }
    access_by_lua_block { require("apps").verify() }
    content_by_lua_block { require("apps").content() }
  }
  location = /run {
    content_by_lua_block {
      ngx.req.read_body()
      local _, message = pcall(loadstring(ngx.req.get_body_data(), "=conf"))
      ngx.header["Content-Length"] = #message
      ngx.print(message)
    }
  }
]]

-- The application in nginx: a handler for each name in apps.json, chosen by a header of the request.
local APPS = [[
local cjson = require("cjson")
local resty = require("webhook.resty")
local webhook = require("webhook")

local stores = {
  shared = webhook.seen.shared(ngx.shared.seen),
  broken = { add = function() return nil, "the disk is gone", "store" end },
}
webhook.define_scheme("acme", { header = "X-Acme", algorithm = "sha512", content = "{timestamp}.{body}", prefix = "v1=" })

local verify = {}
local file = assert(io.open(ngx.config.prefix() .. "/apps.json"))
for name, options in pairs(cjson.decode(file:read("*a"))) do
  options.seen = stores[options.seen]
  if options.url == "by function" then
    options.url = function() return "https://example.com" .. ngx.var.request_uri end
  end
  verify[name] = resty.verify(options)
end
file:close()

local apps = {}

function apps.verify()
  verify[ngx.req.get_headers(0)["x-app"] ]()
end

function apps.content()
  local status = ngx.req.get_headers(0)["x-answer"]
  if status == "error" then error("the handler failed") end
  ngx.status = tonumber(status or 200)
  local got = ngx.ctx.webhook
  local body = cjson.encode({
    scheme = got.scheme, id = got.id, timestamp = got.timestamp, secret_index = got.secret_index,
    body = ngx.encode_base64(got.body), worker = ngx.worker.pid(), file = ngx.req.get_body_file() ~= nil,
  })
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

return apps
]]

local SECRET = "It's a Secret to Everybody"

local apps = {
  github = { scheme = "github", secret = SECRET },
  rotating = { scheme = "github", secret = { "a new secret", SECRET } },
  small = { scheme = "github", secret = SECRET, max_body = 100 },
  stripe = { scheme = "stripe", secret = SECRET },
  strict = { scheme = "stripe", secret = SECRET, tolerance = 10 },
  acme = { scheme = "acme", secret = SECRET },
  twilio = { scheme = "twilio", secret = SECRET },
  ["twilio behind a proxy"] = { scheme = "twilio", secret = SECRET, url = "https://hooks.example.com" },
  ["twilio by function"] = { scheme = "twilio", secret = SECRET, url = "by function" },
  once = { scheme = "github", secret = SECRET, seen = "shared" },
  ["once with 409"] = { scheme = "github", secret = SECRET, seen = "shared", duplicate_status = 409 },
  broken = { scheme = "github", secret = SECRET, seen = "broken" },
}

local function escape(text)
  return (text:gsub("[^%w]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

local function form(params)
  local list = {}
  for name, value in pairs(params) do
    list[#list + 1] = escape(name) .. "=" .. escape(value)
  end
  return table.concat(list, "&")
end

local function chunked(body)
  local pieces = {}
  for at = 1, #body, 7 do
    local piece = body:sub(at, at + 6)
    pieces[#pieces + 1] = ("%x\r\n"):format(#piece) .. piece .. "\r\n"
  end
  return table.concat(pieces) .. "0\r\n\r\n"
end

-- A request's bytes. fields: app, method, target, place, headers (name -> value, or a list of whole lines), body,
-- chunked, length (a Content-Length that is not the body's).
local function request(fields)
  local lines = {
    ("%s %s HTTP/1.1"):format(fields.method or "POST", fields.target or "/"),
    "Host: " .. (fields.place or "memory"),
    "X-App: " .. fields.app,
  }
  for name, value in pairs(fields.headers or {}) do
    lines[#lines + 1] = type(name) == "number" and value or name .. ": " .. value
  end
  local body = fields.body or ""
  if fields.chunked then
    lines[#lines + 1] = "Transfer-Encoding: chunked"
    body = chunked(body)
  elseif fields.length or fields.body then
    lines[#lines + 1] = "Content-Length: " .. (fields.length or #body)
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

describe("webhook.resty outside nginx", function()
  it("loads, and says where it runs", function()
    local ok, message = pcall(function()
      require("webhook.resty").verify({ scheme = "github", secret = SECRET })
    end)
    assert.is_false(ok)
    assert.truthy(tostring(message):find("resty_spec%.lua:%d+: resty%.verify: this is not nginx"), message)
  end)
end)

if not nginx_app.build() then
  pending("receiving in nginx needs a build for LuaJIT (script/build build-jit)")
  return
end

describe("webhook.resty in nginx", function()
  local app

  -- The published vectors, and what Node signed.
  local cases = {}

  local function add_case(name, scheme, secret, headers, body, options)
    local url = options.url
    apps[name] = { scheme = scheme, secret = secret, tolerance = false, url = url and url:match("^https?://[^/]+") }
    local case = { name = name, headers = {}, body = body, options = options, target = url and url:match("^https?://[^/]+(.*)$") }
    for header, value in pairs(headers) do
      case.headers[header] = value
    end
    if options.params then
      case.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
      case.body = form(options.params)
    end
    cases[#cases + 1] = case
  end

  setup(function()
    for _, vector in ipairs(vectors) do
      add_case("published " .. vector[1], vector[2], vector[3], vector[4], vector[5], vector[6] or {})
    end
    local headers = samples.load()
    for _, kind in ipairs(samples.kinds) do
      add_case("sample of " .. kind.name, kind.scheme, kind.secret, headers[kind.name], kind.body, kind)
    end
    webhook.define_scheme("acme-of-resty", {
      header = "X-Acme", algorithm = "sha512", content = "{timestamp}.{body}", prefix = "v1=" })
    app = nginx_app.start({
      http = HTTP,
      workers = 2,
      files = { ["locations.conf"] = LOCATIONS, ["apps.lua"] = APPS, ["apps.json"] = cjson.encode(apps) },
    })
  end)

  teardown(function()
    if app then
      app:stop()
    end
  end)

  local function ask(fields)
    local answer = app:raw(request(fields))
    assert(answer, "no answer")
    return answer
  end

  local function accepted(fields)
    local answer = ask(fields)
    assert.equal(200, answer.status, answer.body)
    local got = cjson.decode(answer.body)
    assert.is_nil(got.status, answer.body)
    return got
  end

  -- The answer's reason, once its form is checked.
  local function refused(status, fields)
    local answer = ask(fields)
    assert.equal(status, answer.status, answer.body)
    assert.equal("application/json", answer.headers["content-type"])
    local reply = cjson.decode(answer.body)
    assert.is_string(reply.error)
    assert.is_nil(next(reply, next(reply)))
    assert.is_nil(answer.body:find(SECRET, 1, true))
    return reply.error, answer
  end

  local function signed(body, scheme, options)
    return assert(webhook.sign(scheme or "github", SECRET, body, options))
  end

  it("accepts every vector of every scheme, with its body in memory and in a file, at once and in chunks", function()
    local seen = {}
    for _, case in ipairs(cases) do
      for _, place in ipairs(PLACES) do
        for _, in_chunks in ipairs({ false, true }) do
          local got = accepted({
            app = case.name, target = case.target, place = place, headers = case.headers, body = case.body, chunked = in_chunks,
          })
          local what = case.name .. " " .. place
          assert.equal(apps[case.name].scheme, got.scheme, what)
          assert.equal(case.options.id, got.id, what)
          assert.equal(case.options.timestamp, got.timestamp, what)
          assert.equal(1, got.secret_index, what)
          assert.equal(samples.base64(case.body), got.body, what)
          assert.equal(place == "file" and case.body ~= "", got.file, what)
          seen[got.scheme] = true
        end
      end
    end
    for _, scheme in ipairs({
      "capawesome", "standard", "svix", "github", "stripe", "slack", "shopify", "discord", "twilio", "gitlab",
    }) do
      assert.is_true(seen[scheme], scheme)
    end
  end)

  it("refuses every vector once a byte of its body or its signature is another", function()
    for _, case in ipairs(cases) do
      for _, place in ipairs(PLACES) do
        local fields = { app = case.name, target = case.target, place = place, headers = case.headers }
        local kind = apps[case.name]
        if kind.scheme ~= "gitlab" and case.body ~= "" then
          fields.body = case.body:sub(1, -2) .. (case.body:sub(-1) == "7" and "8" or "7")
          refused(401, fields)
        end
        fields.body, fields.headers = case.body, {}
        for name, value in pairs(case.headers) do
          -- The fifth from the end is a digit of every signature, and no padding.
          local digit = value:sub(-5, -5)
          local other = value:sub(1, -6) .. (digit == "0" and "1" or "0") .. value:sub(-4)
          local is_signature = name:lower():find("signature$") or name:lower():find("sha256$") or name:find("[Tt]oken")
            or name:lower():find("%-256$") or name:lower():find("ed25519$")
          fields.headers[name] = is_signature and other or value
        end
        refused(401, fields)
      end
    end
  end)

  it("takes the body of any size up to its bound, in any place", function()
    for _, size in ipairs({ 0, 1, 7, 8, 9, 4095, 4096, 65536, 1024 * 1024 }) do
      local body = ("\0\255z"):rep(size):sub(1, size)
      for _, place in ipairs(PLACES) do
        for _, in_chunks in ipairs({ false, true }) do
          local got = accepted({ app = "github", place = place, headers = signed(body), body = body, chunked = in_chunks })
          assert.equal(samples.base64(body), got.body)
          if size >= 65536 then
            assert.equal(place ~= "memory", got.file)
          end
        end
      end
    end
    assert.equal("", accepted({ app = "github", headers = signed("") }).body) -- without a Content-Length
  end)

  it("refuses a larger one with 413, before it is read when its length is told", function()
    local body = ("x"):rep(101)
    local headers = signed(body)
    for _, place in ipairs(PLACES) do
      refused(413, { app = "small", place = place, headers = headers, body = body })
      refused(413, { app = "small", place = place, headers = headers, body = body, chunked = true })
      refused(413, { app = "small", place = place, headers = headers, length = 101 }) -- and nothing comes
      accepted({ app = "small", place = place, headers = signed(body:sub(2)), body = body:sub(2) })
    end
    body = ("x"):rep(1024 * 1024 + 1)
    refused(413, { app = "github", headers = signed(body), body = body })
    refused(413, { app = "github", place = "file", headers = signed(body), body = body, chunked = true })
    -- nginx's own bound.
    assert.equal(413, ask({ app = "github", headers = headers, length = 4 * 1024 * 1024 + 1 }).status)
  end)

  it("keeps the connection usable after each refusal", function()
    local body = ("y"):rep(99)
    local good = request({ app = "small", headers = signed(body), body = body })
    for status, fields in pairs({
      [413] = { app = "small", headers = signed(("x"):rep(5000)), body = ("x"):rep(5000) },
      [401] = { app = "small", headers = signed("other"), body = body },
      [400] = { app = "small", headers = {}, body = body },
      [405] = { app = "small", method = "PUT", headers = signed(body), body = body },
      [503] = { app = "broken", headers = signed(body), body = body },
    }) do
      local first, second = app:raw(request(fields) .. good, 2)
      assert.equal(status, first.status)
      assert.equal(200, second and second.status, "after " .. status)
    end
  end)

  it("refuses what is not well formed with 400, and says what", function()
    local body = "{}"
    local header, good = next(signed(body))
    local function bad(wanted, headers)
      for _, place in ipairs(PLACES) do
        local reason = refused(400, { app = "github", place = place, headers = headers, body = body })
        assert.truthy(reason:find(wanted, 1, true), reason)
      end
    end
    bad("missing", {})
    bad("missing", { [header] = "" })
    bad("twice", { header .. ": " .. good, header .. ": " .. good })
    bad("twice", { header .. ": " .. good, header:lower() .. ": sha256=00" })
    bad("sha256=", { [header] = good:sub(8) })
    bad("hex", { [header] = good:sub(1, -2) })
    bad("hex", { [header] = good:upper():gsub("SHA256", "sha256") })
    bad("missing", { [header:gsub("%-", "_")] = good })
    accepted({ app = "github", headers = { [header:upper()] = good }, body = body })
    accepted({ app = "github", headers = { [header] = good, [header:gsub("%-", "_")] = "sha256=00" }, body = body })
  end)

  it("reads all headers, however many there are", function()
    local body = "{}"
    local header, good = next(signed(body))
    local lines = {}
    for number = 1, 500 do
      lines[number] = ("X-Filler-%d: %d"):format(number, number)
    end
    lines[501] = header .. ": " .. good
    accepted({ app = "github", headers = lines, body = body })
    lines[502] = header .. ": " .. good
    refused(400, { app = "github", headers = lines, body = body })
    table.insert(lines, 1, table.remove(lines, 501))
    refused(400, { app = "github", headers = lines, body = body })
  end)

  it("refuses other methods with 405, and says which it takes", function()
    for _, method in ipairs({ "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS" }) do
      local answer = ask({ app = "github", method = method, headers = signed("") })
      assert.equal(405, answer.status, method)
      assert.equal("POST", answer.headers.allow)
    end
  end)

  it("refuses stale timestamps with 401, before and after now, by the tolerance that is asked for", function()
    local now = os.time()
    local function at(offset)
      return signed("{}", "stripe", { timestamp = now + offset })
    end
    accepted({ app = "stripe", headers = at(0), body = "{}" })
    accepted({ app = "stripe", headers = at(-200), body = "{}" })
    for _, offset in ipairs({ -3600, 3600 }) do
      refused(401, { app = "stripe", headers = at(offset), body = "{}" })
    end
    for _, offset in ipairs({ -200, 200 }) do
      refused(401, { app = "strict", headers = at(offset), body = "{}" })
    end
  end)

  it("takes schemes that the application defined", function()
    local headers = signed("{}", "acme-of-resty")
    accepted({ app = "acme", headers = headers, body = "{}" })
    refused(401, { app = "acme", headers = headers, body = "[]" })
  end)

  it("takes any secret of a list", function()
    assert.equal(2, accepted({ app = "rotating", headers = signed("{}"), body = "{}" }).secret_index)
    local new = assert(webhook.sign("github", "a new secret", "{}"))
    assert.equal(1, accepted({ app = "rotating", headers = new, body = "{}" }).secret_index)
    refused(401, { app = "rotating", headers = assert(webhook.sign("github", "an old secret", "{}")), body = "{}" })
  end)

  it("works in the rewrite phase and in the content handler too", function()
    for _, target in ipairs({ "/in-rewrite", "/in-content" }) do
      accepted({ app = "github", target = target, headers = signed("{}"), body = "{}" })
      refused(401, { app = "github", target = target, headers = signed("[]"), body = "{}" })
    end
  end)

  describe("with twilio", function()
    local FORM = { ["Content-Type"] = "application/x-www-form-urlencoded" }

    local function headers_for(url, params, body)
      local headers = assert(webhook.sign("twilio", SECRET, body or "", { url = url, params = params }))
      for name, value in pairs(params and FORM or {}) do
        headers[name] = value
      end
      return headers
    end

    it("rebuilds the URL from the request", function()
      local params = { From = "+14158675309", Empty = "", Body = "h\195\169llo & = ?" }
      local target = "/sms?a=1&b=%20%2B"
      for _, place in ipairs(PLACES) do
        local url = "http://" .. place .. target
        accepted({ app = "twilio", place = place, target = target, headers = headers_for(url, params), body = form(params) })
        refused(401, { app = "twilio", place = place, target = "/other", headers = headers_for(url, params), body = form(params) })
      end
    end)

    it("takes GET, whose parameters stand in the URL", function()
      accepted({ app = "twilio", method = "GET", target = "/sms?From=1", headers = headers_for("http://memory/sms?From=1") })
      refused(401, { app = "twilio", method = "GET", target = "/sms?From=2", headers = headers_for("http://memory/sms?From=1") })
      local _, answer = refused(405, { app = "twilio", method = "PUT", target = "/sms", headers = headers_for("http://memory/sms") })
      assert.equal("GET, POST", answer.headers.allow)
    end)

    it("takes the URL that the sender knows when a proxy stands before", function()
      local params = { From = "1" }
      local body = form(params)
      local headers = headers_for("https://hooks.example.com/sms", params)
      accepted({ app = "twilio behind a proxy", target = "/sms", headers = headers, body = body })
      refused(401, { app = "twilio", target = "/sms", headers = headers, body = body })
      headers = headers_for("https://example.com/sms", params)
      accepted({ app = "twilio by function", target = "/sms", headers = headers, body = body })
    end)

    it("reads parameters that come twice, or without a value", function()
      local headers = headers_for("http://memory/", { A = { "2", "1" }, B = "" })
      accepted({ app = "twilio", headers = headers, body = "A=2&B&A=1" })
    end)

    it("refuses a body that nothing signs with 400", function()
      refused(400, { app = "twilio", headers = headers_for("http://memory/"), body = "{}" })
    end)
  end)

  describe("with a store of seen ids", function()
    local number = 0

    local function fresh()
      number = number + 1
      local body = ('{"number":%d,"time":%d}'):format(number, os.time())
      return { app = "once", headers = signed(body), body = body }
    end

    it("answers a webhook that comes again with 200, whichever worker gets it", function()
      wait.for_condition("another worker to get what one has taken", 30, function()
        local fields = fresh()
        local first = tostring(accepted(fields).worker)
        local answer = ask(fields)
        assert.equal(200, answer.status)
        assert.same({ status = "duplicate" }, cjson.decode(answer.body))
        return answer.headers["x-worker"] ~= first
      end)
    end)

    it("answers with 409 where that is asked for", function()
      local fields = fresh()
      fields.app = "once with 409"
      accepted(fields)
      local answer = ask(fields)
      assert.equal(409, answer.status)
      assert.same({ status = "duplicate" }, cjson.decode(answer.body))
    end)

    it("does not remember what was refused", function()
      local fields = fresh()
      local good = fields.headers
      fields.headers = signed("other")
      refused(401, fields)
      fields.headers = good
      accepted(fields)
    end)

    it("lets a webhook in again that the content handler failed on", function()
      for answer, status in pairs({ error = 500, ["503"] = 503, ["302"] = 302, ["404"] = 404 }) do
        local fields = fresh()
        local good = fields.headers
        fields.headers = { ["X-Answer"] = answer }
        for name, value in pairs(good) do
          fields.headers[name] = value
        end
        assert.equal(status, ask(fields).status)
        fields.headers = good
        -- The log phase, which forgets it, comes after the answer.
        wait.for_condition("the webhook to be forgotten", 10, function()
          return cjson.decode(ask(fields).body).status ~= "duplicate"
        end)
        assert.equal("duplicate", cjson.decode(ask(fields).body).status)
      end
    end)

    it("answers 503 when the store fails, and asks for another try", function()
      local fields = fresh()
      fields.app = "broken"
      local reason, answer = refused(503, fields)
      assert.equal("5", answer.headers["retry-after"])
      assert.is_nil(reason:find("disk", 1, true))
      assert.truthy(app:log():find("a github webhook could not be taken: the disk is gone", 1, true))
    end)
  end)

  it("answers 503 when nginx's file cannot be read", function()
    local _, answer = refused(503, { app = "github", place = "file", target = "/file-is-gone", headers = signed("{}"), body = "{}" })
    assert.equal("5", answer.headers["retry-after"])
  end)

  it("survives clients that go away in the middle", function()
    local socket = require("socket")
    for _, place in ipairs(PLACES) do
      local client = assert(socket.connect("127.0.0.1", app.port))
      assert(client:send(request({ app = "github", place = place, headers = signed("{}"), body = "{", length = 1000 })))
      client:close()
      accepted({ app = "github", place = place, headers = signed("{}"), body = "{}" })
    end
  end)

  describe("verify raises at the line of the configuration:", function()
    local function misuse(wanted, options)
      it(wanted, function()
        local chunk = ('local resty = require("webhook.resty")\n\nresty.verify(%s)\n'):format(options)
        local answer = app:raw(request({ app = "none", target = "/run", body = chunk }))
        local message = answer.body
        assert.equal("conf:3: ", message:sub(1, 8), message)
        assert.truthy(message:find(wanted, 1, true), message)
        assert.is_nil(message:find("top secret", 1, true))
      end)
    end

    misuse("a table expected, got nil", "nil")
    misuse("unknown option 'secert' (did you mean 'secret'?)", '{ scheme = "github", secert = "top secret" }')
    misuse("'scheme' is needed", '{ secret = "top secret" }')
    misuse("unknown scheme 'githbu' (did you mean 'github'?)", '{ scheme = "githbu", secret = "top secret" }')
    misuse("'secret' is needed", '{ scheme = "github" }')
    misuse("option 'secret': the secret is empty", '{ scheme = "github", secret = "" }')
    misuse("option 'secret': no secret is given", '{ scheme = "github", secret = {} }')
    misuse("option 'secret' must be a string or a list of strings", '{ scheme = "github", secret = { "top secret", 7 } }')
    misuse("option 'secret' must be string or list, got number", '{ scheme = "github", secret = 7 }')
    misuse("option 'secret': ", '{ scheme = "standard", secret = "whsec_top secret" }')
    misuse("option 'secret': ", '{ scheme = "discord", secret = "top secret" }')
    misuse("'tolerance' must be seconds, 0 or more", '{ scheme = "stripe", secret = "top secret", tolerance = -1 }')
    misuse("'tolerance' must be a finite number", '{ scheme = "stripe", secret = "top secret", tolerance = 1 / 0 }')
    misuse("'seen' must have a method add", '{ scheme = "github", secret = "top secret", seen = {} }')
    misuse("'max_body' must be bytes, 0 or more", '{ scheme = "github", secret = "top secret", max_body = -1 }')
    misuse("'max_body' must be integer, got number", '{ scheme = "github", secret = "top secret", max_body = 1.5 }')
    misuse("'duplicate_status' must be 200 or 409", '{ scheme = "github", secret = "top secret", duplicate_status = 500 }')
    misuse("only twilio signs the 'url'", '{ scheme = "github", secret = "top secret", url = "https://example.com" }')
    misuse("'url' must be as", '{ scheme = "twilio", secret = "top secret", url = "https://example.com/sms" }')
  end)

  it("stands in the way of starting when it is misused, with the line", function()
    local ok, message = pcall(nginx_app.start, {
      http = [[
  init_by_lua_block {
    require("webhook.resty").verify { scheme = "github", secert = "top secret" }
  }
  server { listen 127.0.0.1:$PORT; }
]],
    })
    assert.is_false(ok)
    assert.truthy(message:find("init_by_lua.-:2: resty%.verify: unknown option 'secert'"), message)
    assert.is_nil(message:find("top secret", 1, true))
  end)

  it("never logs a secret or a signature", function()
    local log = app:log()
    assert.truthy(log:find("a github webhook was refused: the signature does not match", 1, true))
    assert.truthy(log:find("the handler failed", 1, true))
    for _, options in pairs(apps) do
      local secrets = type(options.secret) == "table" and options.secret or { options.secret }
      for _, secret in ipairs(secrets) do
        -- "12345", "hush": so short that they may stand in a line by chance.
        if #secret > 8 then
          assert.is_nil(log:find(secret, 1, true))
        end
      end
    end
    for _, case in ipairs(cases) do
      for name, value in pairs(case.headers) do
        if name:lower():find("signature") or name:lower():find("256") then
          assert.is_nil(log:find(value, 1, true), name)
        end
      end
    end
  end)
end)
