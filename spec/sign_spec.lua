-- What webhook.sign makes: the same bytes as Node, and never something that verify would refuse.
local raises = require("spec.support.raises")
local samples = require("spec.support.samples")
local webhook = require("webhook")

local function options_of(kind, changes)
  local options = { id = kind.id, timestamp = kind.timestamp, url = kind.url, params = kind.params }
  for name, value in pairs(changes or {}) do
    options[name] = value
  end
  return options
end

local function refused(wanted, scheme, secret, body, options)
  local headers, reason, code = webhook.sign(scheme, secret, body, options)
  assert.is_nil(headers)
  assert.is_string(reason)
  assert.equal(wanted, code, reason)
  if type(secret) == "string" and #secret > 8 then
    assert.is_nil(reason:find(secret, 1, true), reason)
  end
end

local function lower(headers)
  local copy = {}
  for name, value in pairs(headers) do
    copy[name:lower()] = value
  end
  return copy
end

describe("sign", function()
  setup(function()
    samples.load()
  end)

  for _, kind in ipairs(samples.kinds) do
    describe(kind.name, function()
      if kind.name ~= "svix with the standard header names" then
        it("makes the headers that Node makes", function()
          local headers = assert(webhook.sign(kind.scheme, kind.signing_secret, kind.body, options_of(kind)))
          assert.same(lower(samples.headers_of(kind)), lower(headers))
        end)
      end

      if kind.scheme ~= "twilio" then
        it("needs no options", function()
          for _ = 1, 3 do
            local headers = assert(webhook.sign(kind.scheme, kind.signing_secret, kind.body))
            local ok, proven = webhook.verify(kind.scheme, kind.secret, headers, kind.body)
            assert.is_true(ok, proven)
            assert.equal(kind.id ~= nil, proven.id ~= nil)
          end
          local headers, reason, code = webhook.sign(kind.scheme, "", kind.body)
          assert.is_nil(headers)
          assert.is_string(reason)
          assert.equal("missing_secret", code)
        end)
      end

      it("takes a list of one secret", function()
        local one = assert(webhook.sign(kind.scheme, kind.signing_secret, kind.body, options_of(kind)))
        assert.same(one, webhook.sign(kind.scheme, { kind.signing_secret }, kind.body, options_of(kind)))
      end)

      it("goes there and back for any bytes", function()
        if kind.scheme == "twilio" then
          return -- only what is in the URL and the parameters can be signed; see verify_spec.lua
        end
        math.randomseed(7)
        for length = 0, 300, 7 do
          local bytes = {}
          for index = 1, length do
            bytes[index] = string.char(math.random(0, 255))
          end
          local body = table.concat(bytes)
          local headers = assert(webhook.sign(kind.scheme, kind.signing_secret, body, options_of(kind)))
          assert.is_true(webhook.verify(kind.scheme, kind.secret, headers, body, samples.options_of(kind)))
        end
      end)

      it("refuses empty secrets", function()
        refused("missing_secret", kind.scheme, "", kind.body, options_of(kind))
        refused("missing_secret", kind.scheme, {}, kind.body, options_of(kind))
        refused("missing_secret", kind.scheme, { "" }, kind.body, options_of(kind))
        refused("missing_secret", kind.scheme, { kind.signing_secret, "" }, kind.body, options_of(kind))
      end)

      it("needs arguments of the right types", function()
        raises("sign: ", function()
          webhook.sign(kind.scheme, nil, kind.body, options_of(kind))
        end)
        raises("sign: ", function()
          webhook.sign(kind.scheme, kind.signing_secret, nil, options_of(kind))
        end)
        raises("secret", function()
          webhook.sign(kind.scheme, { 7 }, kind.body, options_of(kind))
        end)
        raises("timestmap", function()
          webhook.sign(kind.scheme, kind.signing_secret, kind.body, { timestmap = 1 })
        end)
        for _, name in ipairs({ "id", "timestamp", "url", "params" }) do
          raises(name, function()
            webhook.sign(kind.scheme, kind.signing_secret, kind.body, options_of(kind, { [name] = true }))
          end)
        end
      end)

      if kind.timestamped then
        it("signs the present time when none is given", function()
          local before = os.time()
          local options = options_of(kind)
          options.timestamp = nil
          local headers = assert(webhook.sign(kind.scheme, kind.signing_secret, kind.body, options))
          local ok, proven = webhook.verify(kind.scheme, kind.secret, headers, kind.body)
          assert.is_true(ok, proven)
          assert.is_true(proven.timestamp >= before and proven.timestamp <= os.time() + 1) -- os.time may lag a tick
        end)

        it("signs timestamps from 0 to the largest", function()
          for _, timestamp in ipairs({ 0, 1, 4294967296, math.maxinteger }) do
            local headers = assert(
              webhook.sign(kind.scheme, kind.signing_secret, kind.body, options_of(kind, { timestamp = timestamp }))
            )
            local ok, proven =
              webhook.verify(kind.scheme, kind.secret, headers, kind.body, { now = timestamp, tolerance = 0 })
            assert.is_true(ok, proven)
            assert.equal(timestamp, proven.timestamp)
          end
        end)

        it("refuses a timestamp before 1970", function()
          refused("bad_timestamp", kind.scheme, kind.signing_secret, kind.body, options_of(kind, { timestamp = -1 }))
          refused("bad_timestamp", kind.scheme, kind.signing_secret, kind.body, options_of(kind, { timestamp = -2 ^ 63 }))
        end)
      end

      if kind.id then
        it("makes a new id each time when none is given", function()
          local ids = {}
          for _ = 1, 1000 do
            local headers = lower(assert(webhook.sign(kind.scheme, kind.signing_secret, kind.body)))
            local id = headers["webhook-id"] or headers["svix-id"]
            assert.is_string(id)
            assert.is_nil(ids[id])
            ids[id] = true
          end
        end)

        it("refuses ids that verify would refuse", function()
          for _, id in ipairs({ "a.b", ".", "", ("x"):rep(100000) }) do
            refused("bad_id", kind.scheme, kind.signing_secret, kind.body, options_of(kind, { id = id }))
          end
        end)

        it("signs with all secrets, each of which verifies", function()
          local others = { "whsec_" .. samples.base64(("o"):rep(24)), kind.signing_secret, "whsec_" .. samples.base64(("p"):rep(64)) }
          local headers = assert(webhook.sign(kind.scheme, others, kind.body, options_of(kind)))
          local signatures = headers[kind.signature_header] or headers["svix-signature"]
          assert.equal(2, select(2, signatures:gsub(" ", "")))
          for _, secret in ipairs({ others[1], kind.secret, others[3] }) do
            local ok, proven = webhook.verify(kind.scheme, secret, headers, kind.body, samples.options_of(kind))
            assert.is_true(ok, proven)
          end
        end)

        it("refuses secrets that are no keys, and public ones", function()
          for _, secret in ipairs({ samples.PUBLIC, "whsec_x", "whsk_x", "whsk_" .. samples.base64(("x"):rep(32)) .. "x" }) do
            refused("bad_secret", kind.scheme, secret, kind.body, options_of(kind))
            refused("bad_secret", kind.scheme, { kind.signing_secret, secret }, kind.body, options_of(kind))
          end
        end)
      end
    end)
  end

  it("signs with all secrets of stripe", function()
    local kind = samples.stripe
    local headers = assert(webhook.sign("stripe", { "one", kind.secret, "three" }, kind.body, options_of(kind)))
    assert.equal(3, select(2, headers["Stripe-Signature"]:gsub("v1=", "")))
    for _, secret in ipairs({ "one", kind.secret, "three" }) do
      assert.is_true(webhook.verify("stripe", secret, headers, kind.body, samples.options_of(kind)))
    end
  end)

  it("signs with the first secret where there is room for one signature", function()
    for _, name in ipairs({ "capawesome", "github", "slack", "shopify", "gitlab", "twilio with a form" }) do
      local kind = samples[name]
      local headers = assert(webhook.sign(kind.scheme, { kind.secret, "another" }, kind.body, options_of(kind)))
      assert.same(lower(samples.headers_of(kind)), lower(headers))
    end
  end)

  it("refuses a discord seed of another length or form", function()
    local kind = samples.discord
    local seed = kind.signing_secret
    for _, secret in ipairs({ seed:sub(1, 62), seed .. "00", seed:sub(1, 63), "g" .. seed:sub(2), samples.from_hex(seed) }) do
      refused("bad_secret", "discord", secret, kind.body, options_of(kind))
    end
  end)

  it("refuses a private key whose public half is another's", function()
    -- Signatures under two public keys give the private one away.
    local kind = samples["standard v1a"]
    local seed = samples.from_hex(samples.ED25519_SEED)
    local wrong = "whsk_" .. samples.base64(seed .. ("\1"):rep(32))
    refused("bad_secret", "standard", wrong, kind.body, options_of(kind))
  end)

  it("needs the URL for twilio", function()
    assert.is_not_true((pcall(webhook.sign, "twilio", "12345", "", {})) and webhook.sign("twilio", "12345", "", {}))
  end)

  it("does not sign JSON for twilio under a URL that holds another digest", function()
    local kind = samples["twilio with JSON"]
    local headers, _, code = webhook.sign("twilio", kind.secret, kind.body .. " ", options_of(kind))
    assert.is_nil(headers)
    assert.equal("mismatch", code)
  end)

  it("keeps what it has signed when the garbage is collected", function()
    local list = {}
    for index = 1, 2000 do
      list[index] = webhook.sign("standard", samples.SYMMETRIC, "body " .. index)
    end
    collectgarbage()
    for index, headers in ipairs(list) do
      assert.is_true(webhook.verify("standard", samples.SYMMETRIC, headers, "body " .. index))
    end
  end)

  it("names an unknown scheme, and what was meant", function()
    raises("unknown scheme 'slak' (did you mean 'slack'?)", function()
      webhook.sign("slak", "x", "")
    end)
  end)
end)
