-- Schemes of an application's own.
local node = require("spec.support.node")
local raises = require("spec.support.raises")
local samples = require("spec.support.samples")
local webhook = require("webhook")

local NOW, SECRET, BODY = 1700000000, "acme's secret", '{"id":1}'

-- The signature that Node makes over the content, a list of texts.
local function reference(content, algorithm, encoding, secret)
  local texts = {}
  for index, text in ipairs(content) do
    texts[index] = node.bytes(text)
  end
  return samples.ask({
    {
      scheme = "hmac",
      algorithm = algorithm or "sha256",
      encoding = encoding or "hex",
      secret = node.bytes(secret or SECRET),
      content = texts,
    },
  })[1].signature
end

-- Schemes cannot be taken back, so every definition has a name of its own.
local count = 0
local function define(definition)
  count = count + 1
  local name = "acme" .. count
  webhook.define_scheme(name, definition)
  return name
end

local function refused(wanted, scheme, headers, options, body)
  local ok, reason, code = webhook.verify(scheme, SECRET, headers, body or BODY, options or { now = NOW })
  assert.is_nil(ok)
  assert.is_string(reason)
  assert.equal(wanted, code, reason)
end

describe("define_scheme", function()
  it("takes a timestamp in a header of its own", function()
    local scheme = define({
      header = "X-Acme",
      algorithm = "sha256",
      content = "{timestamp}.{body}",
      encoding = "hex",
      prefix = "v1=",
      timestamp_header = "X-Acme-Time",
    })
    local signature = "v1=" .. reference({ NOW .. ".", BODY })
    local headers = { ["x-acme"] = signature, ["x-acme-time"] = tostring(NOW) }
    local ok, proven = webhook.verify(scheme, SECRET, headers, BODY, { now = NOW })
    assert.is_true(ok, proven)
    assert.same({ scheme = scheme, timestamp = NOW, secret_index = 1 }, proven)
    assert.same(
      { ["X-Acme"] = signature, ["X-Acme-Time"] = tostring(NOW) },
      webhook.sign(scheme, SECRET, BODY, { timestamp = NOW })
    )
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW + 300 }))
    refused("stale", scheme, headers, { now = NOW + 301 })
    refused("stale", scheme, headers, { now = NOW - 301 })
    refused("mismatch", scheme, headers, { now = NOW }, BODY .. " ")
    refused("missing_header", scheme, { ["X-Acme"] = signature })
    refused("missing_header", scheme, { ["X-Acme-Time"] = tostring(NOW) })
    refused("duplicate_header", scheme, { ["X-Acme"] = { signature, signature }, ["X-Acme-Time"] = tostring(NOW) })
    refused("bad_format", scheme, { ["X-Acme"] = signature:sub(4), ["X-Acme-Time"] = tostring(NOW) })
    refused("bad_format", scheme, { ["X-Acme"] = signature, ["X-Acme-Time"] = " " .. NOW })
  end)

  it("takes the timestamp from the signature header when it has none of its own", function()
    local scheme = define({
      header = "X-Acme",
      algorithm = "sha256",
      content = "{timestamp}.{body}",
      encoding = "hex",
      prefix = "v1=",
    })
    local headers = { ["X-Acme"] = ("t=%d,v1=%s"):format(NOW, reference({ NOW .. ".", BODY })) }
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW }))
    assert.same(headers, webhook.sign(scheme, SECRET, BODY, { timestamp = NOW }))
    refused("stale", scheme, headers, { now = NOW + 301 })
    refused("bad_format", scheme, { ["X-Acme"] = "v1=" .. reference({ NOW .. ".", BODY }) })
  end)

  it("takes an id", function()
    local scheme = define({
      header = "Acme-Signature",
      algorithm = "sha256",
      content = "{id}:{timestamp}:{body}",
      encoding = "base64",
      id_header = "Acme-Id",
      timestamp_header = "Acme-Time",
    })
    local signature = reference({ "id7", ":", tostring(NOW), ":", BODY }, "sha256", "base64")
    local headers = { ["Acme-Signature"] = signature, ["Acme-Id"] = "id7", ["Acme-Time"] = tostring(NOW) }
    local ok, proven = webhook.verify(scheme, SECRET, headers, BODY, { now = NOW })
    assert.is_true(ok, proven)
    assert.same({ scheme = scheme, id = "id7", timestamp = NOW, secret_index = 1 }, proven)
    assert.same(headers, webhook.sign(scheme, SECRET, BODY, { id = "id7", timestamp = NOW }))
    -- An id that holds the separator could be read in two ways.
    headers["Acme-Id"] = "id7:1"
    headers["Acme-Signature"] = reference({ "id7:1", ":", tostring(NOW), ":", BODY }, "sha256", "base64")
    refused("bad_format", scheme, headers)
  end)

  it("refuses ids that hold what parts them from their neighbours, before or after", function()
    local scheme = define({
      header = "Acme-Signature",
      algorithm = "sha256",
      content = "{timestamp}/{id};{body}",
      id_header = "Acme-Id",
      timestamp_header = "Acme-Time",
    })
    for id, code in pairs({ ["a.b:c"] = false, ["a/b"] = "bad_format", ["a;b"] = "bad_format" }) do
      local headers = {
        ["Acme-Signature"] = reference({ NOW .. "/", id, ";", BODY }),
        ["Acme-Id"] = id,
        ["Acme-Time"] = tostring(NOW),
      }
      if code then
        refused(code, scheme, headers)
        local made, _, why = webhook.sign(scheme, SECRET, BODY, { id = id, timestamp = NOW })
        assert.is_nil(made)
        assert.equal("bad_id", why)
      else
        assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW }))
      end
    end
  end)

  it("knows sha1, sha256 and sha512, hex and base64, with and without a prefix", function()
    for _, algorithm in ipairs({ "sha1", "sha256", "sha512" }) do
      for _, encoding in ipairs({ "hex", "base64" }) do
        for _, prefix in ipairs({ "", algorithm .. "=" }) do
          local scheme = define({ header = "X-Acme", algorithm = algorithm, content = "{body}", encoding = encoding, prefix = prefix })
          local headers = { ["X-Acme"] = prefix .. reference({ BODY }, algorithm, encoding) }
          assert.is_true(webhook.verify(scheme, SECRET, headers, BODY))
          assert.same(headers, webhook.sign(scheme, SECRET, BODY))
          refused("mismatch", scheme, headers, nil, BODY .. " ")
        end
      end
    end
  end)

  it("has a tolerance of its own, which options replace", function()
    local definition = {
      header = "X-Acme",
      algorithm = "sha256",
      content = "{timestamp}.{body}",
      encoding = "hex",
      timestamp_header = "X-Acme-Time",
      tolerance = 10,
    }
    local scheme = define(definition)
    local headers = { ["X-Acme"] = reference({ NOW .. ".", BODY }), ["X-Acme-Time"] = tostring(NOW) }
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW + 10 }))
    refused("stale", scheme, headers, { now = NOW + 11 })
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW + 11, tolerance = 11 }))
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW * 2, tolerance = false }))
    definition.tolerance = false
    scheme = define(definition)
    assert.is_true(webhook.verify(scheme, SECRET, headers, BODY, { now = NOW * 2 }))
    refused("stale", scheme, headers, { now = NOW + 301, tolerance = 300 })
  end)

  it("is not changed by changing the table it was given", function()
    local definition = { header = "X-Acme", algorithm = "sha256", content = "{body}", encoding = "hex" }
    local scheme = define(definition)
    definition.header, definition.content = "X-Other", "{body}x"
    assert.same({ ["X-Acme"] = reference({ BODY }) }, webhook.sign(scheme, SECRET, BODY))
  end)

  it("refuses definitions that are wrong, and says what is", function()
    local good = { header = "X-Acme", algorithm = "sha256", content = "{body}", encoding = "hex" }
    local function bad(wanted, changes, name)
      local definition = {}
      for key, value in pairs(good) do
        definition[key] = value
      end
      for key, value in pairs(changes) do
        definition[key] = value or nil
      end
      raises(wanted, function()
        webhook.define_scheme(name or "bad", definition)
      end)
    end
    bad("header", { header = false })
    bad("header", { header = "" })
    bad("X Acme", { header = "X Acme" })
    bad("header", { header = "X-Acme\r\n" })
    bad("header", { header = 7 })
    bad("algorithm", { algorithm = "md5" })
    bad("algorithm", { algorithm = 256 })
    bad("encoding", { encoding = "base32" })
    bad("encoding", { encoding = true })
    bad("content", { content = "" })
    bad("content", { content = "{timestamp}", timestamp_header = "X-Time" })
    bad("content", { content = "{body}{body}" })
    bad("content", { content = "{body}{unknown}" })
    bad("content", { content = "{body" })
    bad("id", { content = "{id}.{body}" })
    bad("id", { content = "{body}", id_header = "X-Id" })
    bad("timestamp", { content = "{body}", timestamp_header = "X-Time" })
    bad("{id}", { content = "{id}{body}", id_header = "X-Id" })
    bad("X-Acme", { content = "{id}.{body}", id_header = "x-acme" })
    bad("tolerance", { tolerance = -1 })
    bad("tolerance", { tolerance = "x" })
    bad("prefix", { prefix = 7 })
    bad("prefix", { prefix = "a\nb" })
    bad("heder", { heder = "X-Acme" })
    bad("github", {}, "github")
    raises("define_scheme", function()
      webhook.define_scheme(7, good)
    end)
    raises("define_scheme", function()
      webhook.define_scheme("bad")
    end)
    raises("unknown scheme 'bad'", function()
      webhook.verify("bad", SECRET, {}, BODY)
    end)
  end)
end)
