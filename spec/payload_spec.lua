local cjson = require("cjson")
local flavour = require("spec.support.flavour")
local raises = require("spec.support.raises")
local shell = require("spec.support.shell")
local temp = require("spec.support.temp")
local webhook = require("webhook")

local null = webhook.null
local DOUBLES = 10000

local FIXTURE = table.concat({
  '{"event":"job_finished","data":{"id":"16555c02-a320-4bec-a14a-52754d783970",',
  '"appBuildId":"647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c","appDeploymentId":null,',
  '"appId":"70922e93-0944-48cc-a560-61135ab291ad","canceledAt":1771143284003,',
  '"canceledBy":"f624e455-b19c-4f17-8282-e4a7a02597f3","finishedAt":1771143284003,"inProgressAt":1771143275311,',
  '"inProgressTimeInSeconds":8,"organizationId":"a7249949-a705-4952-a293-a06df84950dc","pendingAt":1771143256381,',
  '"pendingTimeInSeconds":18,"queuedAt":null,"queueTimeInSeconds":null,"stack":"macos-tahoe","status":"canceled",',
  '"totalTimeInSeconds":27,"createdAt":1771143256161,"createdBy":"f624e455-b19c-4f17-8282-e4a7a02597f3"}}',
})

local function fixture_fields()
  return {
    id = "16555c02-a320-4bec-a14a-52754d783970",
    appBuildId = "647d1fe4-9cb7-4f25-afaf-7a0c13a1bb8c",
    appDeploymentId = null,
    appId = "70922e93-0944-48cc-a560-61135ab291ad",
    canceledAt = 1771143284003,
    canceledBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
    finishedAt = 1771143284003,
    inProgressAt = 1771143275311,
    organizationId = "a7249949-a705-4952-a293-a06df84950dc",
    pendingAt = 1771143256381,
    queuedAt = null,
    stack = "macos-tahoe",
    status = "canceled",
    createdAt = 1771143256161,
    createdBy = "f624e455-b19c-4f17-8282-e4a7a02597f3",
  }
end

local function raw(data)
  return webhook.format({ event = "thing", data = data }, "raw")
end

local function json(value)
  local body, message = raw({ v = value })
  assert.is_string(body, message)
  return assert(body:match('^{"event":"thing","data":{"v":(.*)}}$'))
end

local function refused(wanted, data)
  local body, message, code = raw(data)
  assert.is_nil(body)
  assert.equal(wanted, message)
  assert.equal("invalid_event", code)
end

local function nested(levels)
  local value = { leaf = true }
  for _ = 2, levels do
    value = { a = value }
  end
  return value
end

describe("the documented payload", function()
  it("goes out byte for byte, read with cjson", function()
    local text = assert(shell.read_file("spec/fixtures/job_finished.json"))
    local body, content_type = webhook.format(cjson.decode(text), "raw")
    assert.equal(FIXTURE, body)
    assert.equal("application/json", content_type)
  end)

  it("is the fixture without its white space", function()
    local text = assert(shell.read_file("spec/fixtures/job_finished.json"))
    assert.equal(FIXTURE, (text:gsub("%s", "")))
  end)

  it("goes out byte for byte from a builder, with durations derived", function()
    assert.equal(FIXTURE, (webhook.format(webhook.events.job_finished(fixture_fields()), "raw")))
  end)

  it("is the same bytes every time", function()
    for _ = 1, 50 do
      assert.equal(FIXTURE, (webhook.format(webhook.events.job_finished(fixture_fields()), "raw")))
    end
  end)

  it("has unknown keys after the documented ones, sorted by bytes", function()
    local fields = webhook.events.job_finished(fixture_fields())
    for _, key in ipairs({ "zeta", "alpha", "Beta", "é", "al", "_x" }) do
      fields.data[key] = 1
    end
    local extra = ',"Beta":1,"_x":1,"al":1,"alpha":1,"zeta":1,"é":1}}'
    assert.equal(FIXTURE:sub(1, -3) .. extra, (webhook.format(fields, "raw")))
  end)

  it("has null for what a plain table leaves out", function()
    assert.equal(
      '{"event":"app_deployment_created","data":{"id":"1","appId":null,"appBuildId":null,"appChannelId":null,'
        .. '"appChannelName":null,"appDestinationId":null,"appDestinationName":null,"jobId":null,'
        .. '"rolloutPercentage":0.25,"createdAt":null,"createdBy":null,"updatedAt":null}}',
      (webhook.format({ event = "app_deployment_created", data = { id = "1", rolloutPercentage = 0.25 } }, "raw"))
    )
  end)

  it("has every field of an app build in order", function()
    assert.equal(
      '{"event":"app_build_created","data":{"id":null,"appId":null,"appBuildArtifactId":null,"appBuildSourceId":null,'
        .. '"appCertificateId":null,"appConfigurationId":null,"appEnvironmentId":null,"gitRef":null,"jobId":null,'
        .. '"numberAsString":null,"packageName":null,"packageVersion":null,"platform":"ios","type":null,'
        .. '"createdAt":null,"createdBy":null,"updatedAt":null}}',
      (webhook.format(webhook.events.app_build_created({ platform = "ios" }), "raw"))
    )
  end)
end)

describe("builders", function()
  it("name an unknown field and the likely one", function()
    raises("unknown field 'stauts' (did you mean 'status'?)", function()
      webhook.events.job_finished({ stauts = "failed" })
    end)
    raises("unknown field 'qqqqqqqq'", function()
      webhook.events.job_created({ qqqqqqqq = 1 })
    end)
  end)

  it("refuse wrong types and values", function()
    raises("events.job_finished: field 'id' must be string, got number", function()
      webhook.events.job_finished({ id = 7 })
    end)
    raises("field 'createdAt' must be integer, got string", function()
      webhook.events.job_finished({ createdAt = "7" })
    end)
    for _, value in ipairs({ 1.5, 1 / 0, 0 / 0 }) do
      raises("field 'createdAt' must be integer, got number", function()
        webhook.events.job_finished({ createdAt = value })
      end)
    end
    raises("field 'status' cannot be 'finished'", function()
      webhook.events.job_finished({ status = "finished" })
    end)
    raises("(did you mean 'canceled'?)", function()
      webhook.events.job_finished({ status = "cancelled" })
    end)
    raises("field 'platform' cannot be 'windows'", function()
      webhook.events.app_build_created({ platform = "windows" })
    end)
    raises("a table expected, got string", function()
      webhook.events.job_finished("x")
    end)
  end)

  it("take every documented status", function()
    local statuses = { "queued", "pending", "in_progress", "succeeded", "failed", "canceled", "rejected", "timed_out" }
    for _, status in ipairs(statuses) do
      assert.equal(status, webhook.events.job_created({ status = status }).data.status)
    end
  end)

  it("fill what is missing with null and do not change their argument", function()
    local fields = { id = "1" }
    local event = webhook.events.job_created(fields)
    assert.equal("job_created", event.event)
    assert.equal(null, event.data.appId)
    assert.equal(null, event.data.totalTimeInSeconds)
    assert.same({ id = "1" }, fields)
  end)

  it("derive durations in whole seconds, rounded down", function()
    local data = webhook.events.job_finished({
      createdAt = 0, queuedAt = 1000, pendingAt = 2999, inProgressAt = 2999, finishedAt = 9998,
    }).data
    assert.equal(1, data.queueTimeInSeconds)
    assert.equal(0, data.pendingTimeInSeconds)
    assert.equal(6, data.inProgressTimeInSeconds)
    assert.equal(9, data.totalTimeInSeconds)
  end)

  it("keep a duration that is given", function()
    local data = webhook.events.job_finished({ createdAt = 0, finishedAt = 9000, totalTimeInSeconds = 5 }).data
    assert.equal(5, data.totalTimeInSeconds)
  end)
end)

describe("events.define", function()
  it("makes a builder with its own order", function()
    local build = webhook.events.define("payload_spec.paid", {
      fields = { { "z", "string" }, { "a", "number" }, { "m", "integer" }, { "t", "table" }, { "b", "boolean" }, { "x", "any" } },
      title = "Paid",
    })
    assert.equal(build, webhook.events["payload_spec.paid"])
    assert.equal(
      '{"event":"payload_spec.paid","data":{"z":null,"a":0.5,"m":3,"t":[1],"b":false,"x":null}}',
      (webhook.format(build({ a = 0.5, m = 3, t = { 1 }, b = false }), "raw"))
    )
    raises("field 'm' must be integer, got number", function()
      build({ m = 3.5 })
    end)
  end)

  it("refuses bad definitions", function()
    for _, name in ipairs({ "", ("x"):rep(65), "a b", "é", "a,b", "a\0b" }) do
      raises("events.define: a name is 1 to 64", function()
        webhook.events.define(name)
      end)
    end
    raises("'job_finished' is defined already", function()
      webhook.events.define("job_finished")
    end)
    raises("unknown option 'feilds' (did you mean 'fields'?)", function()
      webhook.events.define("payload_spec.bad", { feilds = {} })
    end)
    raises("field 1 must be { name, type }", function()
      webhook.events.define("payload_spec.bad", { fields = { { "a", "text" } } })
    end)
    raises("field 'a' stands twice", function()
      webhook.events.define("payload_spec.bad", { fields = { { "a", "string" }, { "a", "string" } } })
    end)
    assert.is_false(webhook.events.is_known("payload_spec.bad"))
  end)
end)

describe("numbers", function()
  it("keep every digit of an integer", function()
    assert.equal("0", json(0))
    assert.equal("-1771143284003", json(-1771143284003))
    assert.equal("9007199254740992", json(2 ^ 53))
    assert.equal("-9007199254740992", json(-2 ^ 53))
    if flavour.has_integers then
      assert.equal("9007199254740993", json(9007199254740993))
      assert.equal("-9223372036854775808", json(math.mininteger))
      assert.equal("9223372036854775807", json(math.maxinteger))
    end
  end)

  it("write doubles in few digits", function()
    assert.equal(flavour.has_integers and "-0.0" or "0", json(0 * -1.0)) -- a whole number is an integer in 5.1
    assert.equal("0", json(0.0))
    assert.equal("0.1", json(0.1))
    assert.equal("1", json(1.0))
    assert.equal("1e300", json(1e300))
    assert.equal("5e-324", json(5e-324))
    assert.equal("-2.5", json(-2.5))
    assert.equal("1.7976931348623157e308", json(1.7976931348623157e308))
  end)

  it("refuse NaN and infinity", function()
    refused("data.v: cannot encode NaN", { v = 0 / 0 })
    refused("data.v[2]: cannot encode infinity", { v = { 1, 1 / 0 } })
    refused("data.v.w: cannot encode infinity", { v = { w = -1 / 0 } })
  end)

  -- "0.00123e5" -> 3: from the first digit that is not 0 to the last.
  local function significant(text)
    local digits = text:gsub("e.*", ""):gsub("[^%d]", ""):gsub("^0+", ""):gsub("0+$", "")
    return #digits
  end

  -- A double from its parts (IEEE 754), and its 64 bits in hexadecimal digits.
  local function double(sign, exponent, high, low)
    local mantissa = high * 2 ^ 32 + low
    local value = exponent == 0 and mantissa or mantissa + 2 ^ 52
    -- Step by step: LuaJIT's 2 ^ -1074 is 0.
    for _ = math.max(exponent, 1), 1074 do
      value = value / 2
    end
    for _ = 1076, exponent do
      value = value * 2
    end
    return sign == 1 and -value or value, ("%03x%05x%08x"):format(sign * 2048 + exponent, high, low)
  end

  local function random_mantissa()
    return math.random(0, 0xfffff), math.random(0, 0xffff) * 0x10000 + math.random(0, 0xffff)
  end

  -- Every kind of double: lists of them and of their bits.
  local function doubles()
    local values, bits = {}, {}
    local function add(...)
      values[#values + 1], bits[#bits + 1] = double(...)
    end
    for exponent = 0, 2046 do
      add(0, exponent, 0, 0) -- the powers of two
    end
    for shift = 0, 51 do -- the powers of two among the subnormals
      add(0, 0, shift >= 32 and 2 ^ (shift - 32) or 0, shift < 32 and 2 ^ shift or 0)
    end
    for _ = 1, 1000 do
      add(math.random(0, 1), 0, random_mantissa()) -- subnormals
    end
    while #values < DOUBLES do
      add(math.random(0, 1), math.random(0, 2046), random_mantissa())
    end
    return values, bits
  end

  it("are read back by Node as the same double, in no more digits than its own", function()
    if shell.run("command -v node") == "" then
      return pending("node is not installed")
    end
    math.randomseed(20260215)
    local lines, texts = {}, {}
    local values, bits = doubles()
    for index, value in ipairs(values) do
      texts[index] = json(value)
      lines[index] = bits[index] .. " " .. texts[index]
    end
    temp.with_folder(function(folder)
      shell.write_file(folder .. "/numbers", table.concat(lines, "\n"))
      shell.write_file(folder .. "/check.js", [[
        const lines = require("fs").readFileSync(process.argv[2], "utf8").split("\n");
        const view = new DataView(new ArrayBuffer(8));
        for (const line of lines) {
          const [hex, text] = line.split(" ");
          view.setBigUint64(0, BigInt("0x" + hex));
          const value = view.getFloat64(0);
          console.log((Object.is(JSON.parse(text), value) ? "same " : "differs ") + String(value));
        }]])
      local command = "node " .. shell.quote(folder .. "/check.js") .. " " .. shell.quote(folder .. "/numbers")
      local index, wrong, longer = 0, {}, {}
      for verdict, theirs in shell.check(command):gmatch("(%a+) (%S+)\n") do
        index = index + 1
        if verdict ~= "same" then
          wrong[#wrong + 1] = lines[index]
        end
        if significant(texts[index]) > significant(theirs) then
          longer[#longer + 1] = lines[index] .. " (node: " .. theirs .. ")"
        end
      end
      assert.equal(DOUBLES, index)
      assert.equal("", table.concat(wrong, "\n"))
      assert.equal("", table.concat(longer, "\n"))
    end)
  end)
end)

describe("webhook.integer", function()
  it("keeps every digit on every Lua", function()
    for _, text in ipairs({
      "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
      "18446744073709551615", "0", "7", "-1",
    }) do
      local integer = assert(webhook.integer(text))
      assert.equal(text, tostring(integer))
      assert.equal(text, json(integer))
      assert.equal("[" .. text .. ',{"a":' .. text .. "}]", json({ integer, { a = integer } }))
    end
    assert.equal("0", json(webhook.integer("-0")))
  end)

  it("is compared by value", function()
    local function integer(text)
      return assert(webhook.integer(text))
    end
    assert.is_true(integer("5") == integer("5"))
    assert.is_false(integer("5") == integer("-5"))
    assert.is_true(integer("-5") < integer("5"))
    assert.is_true(integer("-6") < integer("-5"))
    assert.is_false(integer("9007199254740993") < integer("9007199254740992"))
    assert.is_true(integer("18446744073709551615") >= integer("18446744073709551615"))
    assert.is_true(integer("-9223372036854775808") <= integer("18446744073709551615"))
  end)

  it("takes exact numbers and itself", function()
    for value, text in pairs({ [42] = "42", [-7.0] = "-7", [2 ^ 53] = "9007199254740992" }) do
      assert.equal(text, tostring(webhook.integer(value)))
    end
    local integer = webhook.integer("1")
    assert.equal(integer, webhook.integer(integer))
  end)

  it("refuses what is no integer or does not fit", function()
    for _, bad in ipairs({
      "", "-", "+1", "01", "-01", "1.0", "1e3", "0x10", " 1", "1 ", "1\0", "--1", "18446744073709551616", "99999999999999999999",
      "-9223372036854775809", 1.5, 2 ^ 53 * 2, 1 / 0, 0 / 0,
    }) do
      local integer, message, code = webhook.integer(bad)
      assert.is_nil(integer, tostring(bad))
      assert.is_string(message)
      assert.equal("invalid", code)
    end
    for _, bad in ipairs({ true, {}, print, io.stdout }) do
      raises("integer: a string of decimal digits expected, got " .. type(bad), function()
        local integer = webhook.integer(bad)
        return integer
      end)
    end
    raises("got nil", function()
      local integer = webhook.integer()
      return integer
    end)
  end)

  it("stands in builders where integers and numbers do", function()
    local data = webhook.events.job_finished({
      createdAt = webhook.integer("1771143256161"), finishedAt = 1771143284003,
    }).data
    assert.equal(27, data.totalTimeInSeconds)
    assert.equal("1771143256161", json(data.createdAt))
    assert.equal("5", json(webhook.events.app_deployment_created({ rolloutPercentage = webhook.integer("5") }).data.rolloutPercentage))
    raises("field 'id' must be string, got userdata", function()
      webhook.events.job_finished({ id = webhook.integer("5") })
    end)
  end)

  if flavour.has_ffi_integers then
    -- Only LuaJIT reads these literals.
    local ffi = require("ffi")
    local function literal(text)
      return assert(loadstring("return " .. text))()
    end

    it("is made of LuaJIT's 64-bit integers, which are written as they are", function()
      for text, digits in pairs({
        ["9007199254740993LL"] = "9007199254740993", ["-9223372036854775807LL - 1"] = "-9223372036854775808",
        ["18446744073709551615ULL"] = "18446744073709551615", ["0LL"] = "0", ["-1LL"] = "-1",
      }) do
        assert.equal(digits, json(literal(text)))
        assert.equal(digits, tostring(webhook.integer(literal(text))))
      end
      local event = webhook.events.job_finished({ createdAt = literal("1771143256161LL"), finishedAt = literal("1771143284003ULL") })
      assert.equal(27, event.data.totalTimeInSeconds)
    end)

    it("is not made of other cdata", function()
      for _, other in ipairs({ literal("1i"), ffi.new("int", 7), ffi.new("void *"), ffi.new("char[8]"), ffi.typeof("int64_t") }) do
        refused("data.v: cannot encode a cdata", { v = other })
        assert.is_false((pcall(webhook.integer, other)))
      end
    end)
  end
end)

describe("text", function()
  it("is escaped where JSON needs it and nowhere else", function()
    assert.equal([["\u0000"]], json("\0"))
    assert.equal([["\b\t\n\f\r\u001f\"\\/]] .. "\127" .. [["]], json('\b\t\n\f\r\31"\\/\127'))
    assert.equal('"\240\159\154\128"', json("\240\159\154\128"))
    assert.equal('"é\226\128\168\244\143\191\191"', json("é\226\128\168\244\143\191\191"))
    assert.equal('""', json(""))
  end)

  it("that is no UTF-8 is an error that names the path and the byte", function()
    refused("data.v: not valid UTF-8 at byte 3", { v = "ab\255" })
    refused("data.v: not valid UTF-8 at byte 1", { v = "\237\160\128" }) -- a lone surrogate
    refused("data.v: not valid UTF-8 at byte 1", { v = "\237\191\191" })
    refused("data.v: not valid UTF-8 at byte 1", { v = "\192\128" }) -- too long a form
    refused("data.v: not valid UTF-8 at byte 1", { v = "\224\128\175" })
    refused("data.v: not valid UTF-8 at byte 1", { v = "\240\128\128\175" })
    refused("data.v: not valid UTF-8 at byte 1", { v = "\244\144\128\128" }) -- past U+10FFFF
    refused("data.v: not valid UTF-8 at byte 2", { v = "a\226\130" }) -- cut short
    refused("data.items[2].name: not valid UTF-8 at byte 1", { items = { { name = "ok" }, { name = "\128" } } })
  end)

  it("that is a bad key is not blamed on another key", function()
    local body, message, code = raw({ good = 1, ["zz\255"] = 2 })
    assert.is_nil(body)
    assert.equal("invalid_event", code)
    assert.is_nil(message:find("data.good", 1, true), message)
    assert.truthy(message:find("not valid UTF-8 at byte 3", 1, true), message)
  end)

  it("in an error message is UTF-8 although the key in it is cut short", function()
    local _, message = raw({ ["x" .. ("é"):rep(30)] = print })
    assert.is_string((raw({ v = message })), message)
  end)
end)

describe("tables", function()
  it("are arrays or objects", function()
    assert.equal("[1,[2],{}]", json({ 1, { 2 }, {} }))
    assert.equal("{}", json({}))
    assert.equal('{"a":null,"b":true,"c":false}', json({ c = false, b = true, a = null }))
    if cjson.empty_array then
      assert.equal("[]", json(cjson.empty_array))
    end
    if cjson.array_mt then
      assert.equal("[]", json(setmetatable({}, cjson.array_mt)))
    end
  end)

  it("may stand twice when they are not inside themselves", function()
    local shared = { 1 }
    assert.equal('{"a":[1],"b":[1],"c":[[1],[1]]}', json({ a = shared, b = shared, c = { shared, shared } }))
  end)

  it("that contain themselves are refused", function()
    local loop = {}
    loop.again = { loop }
    refused("data.loop.again[1]: cannot encode a table that contains itself", { loop = loop })
    local data = {}
    data.me = data
    refused("data.me: cannot encode a table that contains itself", data)
  end)

  it("may have very many keys", function()
    local data, count = {}, 20000
    for index = 1, count do
      data[("k%05d"):format(index)] = { [("k%05d"):format(index)] = index }
    end
    local body = assert(raw(data))
    local expected = 0
    for outer, inner, number in body:gmatch('"(k%d+)":{"(k%d+)":(%d+)}') do
      expected = expected + 1
      assert.is_true(outer == inner and outer == ("k%05d"):format(expected) and tonumber(number) == expected)
    end
    assert.equal(count, expected)
  end)

  it("may be 128 levels deep, not more", function()
    assert.is_string((raw(nested(128))))
    refused("data: nested deeper than 128 levels", nested(129))
    refused("data: nested deeper than 128 levels", nested(200))
    refused("data: nested deeper than 128 levels", nested(20000))
    assert.is_string((raw({ fine = "afterwards" })))
  end)

  it("with mixed keys, holes or strange keys are refused", function()
    refused("data.v: cannot encode a table with both integer and string keys", { v = { 1, a = 2 } })
    refused("data.v: cannot encode an array with holes", { v = { [1] = 1, [3] = 3 } })
    refused("data.v: cannot encode an array with holes", { v = { [2 ^ 53] = 1 } })
    if flavour.has_integers then
      refused("data.v: cannot encode an array with holes", { v = { [math.maxinteger] = 1 } })
    end
    refused("data.v: cannot encode a number key that is no positive integer", { v = { [0] = 1 } })
    refused("data.v: cannot encode a number key that is no positive integer", { v = { [1.5] = 1 } })
    refused("data.v: cannot encode a key that is no string", { v = { [true] = 1 } })
  end)

  it("with what JSON has no word for are refused with the path", function()
    refused("data.items[3].owner: cannot encode a function", { items = { {}, {}, { owner = print } } })
    refused("data.v: cannot encode a thread", { v = coroutine.create(function() end) })
    refused("data.v: cannot encode a userdata", { v = io.stdout })
  end)
end)

describe("webhook.format", function()
  it("checks its arguments", function()
    raises("unknown format 'rawr' (did you mean 'raw'?)", function()
      webhook.format({ event = "thing", data = {} }, "rawr")
    end)
    raises("an event { event = name, data = {…} } expected", function()
      webhook.format("thing", "raw")
    end)
    local body, _, code = webhook.format({ event = "bad name", data = {} }, "raw")
    assert.is_nil(body)
    assert.equal("invalid_event", code)
  end)
end)
