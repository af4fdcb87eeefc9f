-- What webhook.verify accepts. Every signature here is a published one, or made by Node.
local samples = require("spec.support.samples")
local vectors = require("spec.support.vectors")
local webhook = require("webhook")

local function verify_options(options)
  return { now = options.now, url = options.url, params = options.params }
end

describe("a published vector", function()
  for _, vector in ipairs(vectors) do
    local name, scheme, secret, headers, body, options, signing_secret = table.unpack(vector, 1, 7)
    options = options or {}

    it("is verified: " .. name, function()
      local ok, proven = webhook.verify(scheme, secret, headers, body, verify_options(options))
      assert.is_true(ok, proven)
      assert.same({ scheme = scheme, id = options.id, timestamp = options.timestamp, secret_index = 1 }, proven)
    end)

    it("is what we sign: " .. name, function()
      local made = assert(webhook.sign(scheme, signing_secret or secret, body, {
        id = options.id,
        timestamp = options.timestamp,
        url = options.url,
        params = options.params,
      }))
      local lower = {}
      for header, value in pairs(headers) do
        lower[header:lower()] = value
      end
      for header, value in pairs(made) do
        assert.equal(lower[header:lower()], value)
        lower[header:lower()] = nil
      end
      assert.same({}, lower)
    end)
  end
end)

describe("verify", function()
  setup(function()
    samples.load()
  end)

  for _, kind in ipairs(samples.kinds) do
    describe(kind.name, function()
      local function accepts(changes)
        changes = changes or {}
        local ok, proven = webhook.verify(
          kind.scheme,
          changes.secrets or kind.secret,
          changes.headers or samples.headers_of(kind),
          changes.body or kind.body,
          samples.options_of(kind, changes.options)
        )
        assert.is_true(ok, proven)
        return proven
      end

      it("accepts what Node signed, and says what is proven", function()
        assert.same({
          scheme = kind.scheme,
          id = kind.id,
          timestamp = kind.timestamp,
          secret_index = 1,
        }, accepts())
      end)

      it("takes header names in any case, and values as strings or lists of one", function()
        for _, change in ipairs({ string.lower, string.upper, function(name) return (name:gsub("%a", string.upper, 1)) end }) do
          local headers, lists = { Host = "example.com", [1] = "x" }, { ["Content-Type"] = { "a", "b" } }
          for name, value in pairs(samples.headers_of(kind)) do
            headers[change(name)] = value
            lists[change(name)] = { value }
          end
          accepts({ headers = headers })
          accepts({ headers = lists })
        end
      end)

      it("says which of several secrets it was", function()
        local other = kind.scheme == "discord" and ("ab"):rep(32)
          or (kind.scheme == "standard" or kind.scheme == "svix") and "whsec_" .. samples.base64(("x"):rep(24))
          or "another secret"
        assert.equal(1, accepts({ secrets = { kind.secret } }).secret_index)
        assert.equal(1, accepts({ secrets = { kind.secret, other } }).secret_index)
        assert.equal(2, accepts({ secrets = { other, kind.secret } }).secret_index)
        assert.equal(4, accepts({ secrets = { other, other, other, kind.secret } }).secret_index)
        assert.equal(2, accepts({ secrets = { other, kind.secret, kind.secret } }).secret_index)
      end)

      if kind.covers_body then
        it("takes any bytes as the body", function()
          local bodies = { "", "\0", "\0\0x", ("\255"):rep(100), ("z"):rep(100000) }
          local every = {}
          for byte = 0, 255 do
            every[#every + 1] = string.char(byte)
          end
          bodies[#bodies + 1] = table.concat(every)
          local pairs_list = {}
          for index, body in ipairs(bodies) do
            pairs_list[index] = { kind, { body = body } }
          end
          if kind.scheme == "twilio" then -- the URL holds the digest
            local questions = {}
            for index, body in ipairs(bodies) do
              questions[index] = { scheme = "sha256", body = { base64 = samples.base64(body) } }
            end
            for index, answer in ipairs(samples.ask(questions)) do
              pairs_list[index][2].url = "https://example.com/json?bodySHA256=" .. answer.digest
            end
          end
          for index, headers in ipairs(samples.sign_all(pairs_list)) do
            accepts({ headers = headers, body = bodies[index], options = { url = pairs_list[index][2].url } })
          end
        end)
      end

      if kind.timestamped then
        it("accepts a timestamp up to the tolerance away, before and after", function()
          for _, now in ipairs({ -300, -299, -1, 0, 1, 299, 300 }) do
            accepts({ options = { now = samples.NOW + now } })
          end
          accepts({ options = { now = samples.NOW + 10, tolerance = 10 } })
          accepts({ options = { now = samples.NOW, tolerance = 0 } })
          accepts({ options = { now = samples.NOW + 86400, tolerance = 86400 } })
        end)

        it("accepts any timestamp when the tolerance is false", function()
          accepts({ options = { now = samples.NOW + 10 * 365 * 86400, tolerance = false } })
          accepts({ options = { now = 0, tolerance = false } })
        end)

        it("uses the clock when now is not given", function()
          local now = os.time()
          local headers = samples.sign(kind, { timestamp = now })
          local options = samples.options_of(kind)
          options.now = nil
          local ok, proven = webhook.verify(kind.scheme, kind.secret, headers, kind.body, options)
          assert.is_true(ok, proven)
          assert.equal(now, proven.timestamp)
          ok = webhook.verify(kind.scheme, kind.secret, samples.headers_of(kind), kind.body, options)
          assert.is_nil(ok)
        end)
      end
    end)
  end
end)

describe("verify", function()
  local kind = samples.github

  it("takes headers that list themselves, as those of lua-http", function()
    local function object(list)
      return setmetatable({}, {
        __pairs = function()
          local at = 0
          return function()
            at = at + 1
            if list[at] then
              return table.unpack(list[at])
            end
          end
        end,
      })
    end
    local signature = samples.headers_of(kind)[kind.signature_header]
    local one = object({ { ":method", "POST" }, { "x-hub-signature-256", signature }, { "accept", "*/*" }, { "accept", "x/y" } })
    assert.is_true(webhook.verify("github", kind.secret, one, kind.body))
    local two = object({ { "x-hub-signature-256", signature }, { "x-hub-signature-256", signature } })
    local ok, _, code = webhook.verify("github", kind.secret, two, kind.body)
    assert.is_nil(ok)
    assert.equal("duplicate_header", code)
  end)

  it("takes up to 16 secrets", function()
    local secrets = {}
    for index = 1, 15 do
      secrets[index] = "other " .. index
    end
    secrets[16] = kind.secret
    for _ = 1, 3 do -- keys are kept between calls: there and gone again
      local ok, proven = webhook.verify("github", secrets, samples.headers_of(kind), kind.body)
      assert.is_true(ok, proven)
      assert.equal(16, proven.secret_index)
      assert.is_true(webhook.verify("github", kind.secret, samples.headers_of(kind), kind.body))
    end
    table.insert(secrets, 1, "one too many")
    local ok, _, code = webhook.verify("github", secrets, samples.headers_of(kind), kind.body)
    assert.is_nil(ok)
    assert.equal("bad_secret", code)
  end)

  it("takes many secrets one after the other", function()
    local list = {}
    for index = 1, 100 do
      list[index] = { kind, { secret = "secret " .. index } }
    end
    local answers = samples.sign_all(list)
    for round = 1, 2 do
      for index, headers in ipairs(answers) do
        local right, wrong = "secret " .. index, "secret " .. index % 100 + 1
        assert.is_true(webhook.verify("github", right, headers, kind.body), "round " .. round)
        assert.is_nil((webhook.verify("github", wrong, headers, kind.body)))
      end
    end
  end)
end)

describe("verify of standard webhooks", function()
  local kind = samples["standard v1"]
  local good

  setup(function()
    good = samples.headers_of(kind)["webhook-signature"]
  end)

  local function accepts(signature, secrets)
    local headers = samples.headers_of(kind, { ["webhook-signature"] = signature })
    local ok, proven = webhook.verify("standard", secrets or kind.secret, headers, kind.body, samples.options_of(kind))
    assert.is_true(ok, proven)
    return proven
  end

  it("skips versions that it does not know, and signatures that do not match", function()
    local wrong = "v1," .. samples.base64(("\1"):rep(32))
    for _, signature in ipairs({
      "v2,xxx " .. good,
      good .. " v2,xxx",
      "v2," .. good:sub(4) .. " " .. good,
      "v10,abc v0,abc " .. good,
      wrong .. " " .. good,
      good .. " " .. wrong,
      wrong .. " " .. wrong .. " v9,? " .. good,
      "v1a," .. samples.base64(("\1"):rep(64)) .. " " .. good,
    }) do
      accepts(signature)
    end
  end)

  it("takes up to 32 signatures", function()
    local wrong = "v1," .. samples.base64(("\1"):rep(32))
    accepts((wrong .. " "):rep(31) .. good)
    accepts(good .. (" " .. wrong):rep(31))
  end)

  it("takes a symmetric and a public key side by side", function()
    local asymmetric = samples.headers_of(samples["standard v1a"])["webhook-signature"]
    local keys = { samples.SYMMETRIC, samples.PUBLIC }
    assert.equal(1, accepts(good, keys).secret_index)
    assert.equal(2, accepts(asymmetric, keys).secret_index)
    accepts(asymmetric .. " " .. good, keys)
    accepts(asymmetric .. " " .. good, samples.PUBLIC)
    accepts(asymmetric .. " " .. good, samples.SYMMETRIC)
  end)

  it("takes secrets of 24 to 64 bytes", function()
    for _, length in ipairs({ 24, 25, 26, 32, 63, 64 }) do
      local secret = "whsec_" .. samples.base64(("k"):rep(length))
      local headers = samples.sign(kind, { secret = secret })
      assert.is_true(webhook.verify("standard", secret, headers, kind.body, samples.options_of(kind)))
    end
  end)
end)

describe("verify of svix", function()
  it("does not mix the headers of two families", function()
    local kind = samples.svix
    local headers = samples.headers_of(kind, { ["svix-id"] = false, ["webhook-id"] = kind.id })
    local ok = webhook.verify("svix", kind.secret, headers, kind.body, samples.options_of(kind))
    assert.is_nil(ok)
  end)
end)

describe("verify of stripe", function()
  local kind = samples.stripe
  local time = "t=" .. samples.NOW
  local good

  setup(function()
    good = samples.headers_of(kind)["Stripe-Signature"]:match("v1=%x+$")
  end)

  it("takes the parts in any order, any matching v1, and skips other schemes", function()
    local wrong = "v1=" .. ("0"):rep(64)
    for _, parts in ipairs({
      { time, good },
      { good, time },
      { time, wrong, good },
      { time, good, wrong },
      { time, "v0=" .. ("1"):rep(64), good },
      { time, good, "v0=" .. ("1"):rep(64) },
      { time, "v2=abc", good, "x=y" },
      { "v0=" .. good:sub(4), time, good },
    }) do
      local headers = { ["Stripe-Signature"] = table.concat(parts, ",") }
      local ok, proven = webhook.verify("stripe", kind.secret, headers, kind.body, samples.options_of(kind))
      assert.is_true(ok, headers["Stripe-Signature"])
      assert.equal(samples.NOW, proven.timestamp)
    end
  end)
end)

describe("verify of twilio", function()
  local form = samples["twilio with a form"]

  local function verify(url, signed_url, params, signed_params)
    local headers = samples.sign(form, { url = signed_url, params = signed_params or params })
    return webhook.verify("twilio", form.secret, headers, "", { url = url, params = params })
  end

  it("accepts a signature over the URL with or without its port", function()
    for _, pair in ipairs({
      { "https://example.com/a?b=c", "https://example.com:443/a?b=c" },
      { "https://example.com:443/a?b=c", "https://example.com/a?b=c" },
      { "https://example.com:8443/a?b=c", "https://example.com/a?b=c" },
      { "https://example.com:8443/a?b=c", "https://example.com:8443/a?b=c" },
      { "http://example.com/a", "http://example.com:80/a" },
      { "http://example.com:80/a", "http://example.com/a" },
      { "https://example.com/a:80/b?c=:9", "https://example.com:443/a:80/b?c=:9" },
      { "https://example.com:1234/a:80/b?c=:9", "https://example.com/a:80/b?c=:9" },
      { "https://example.com", "https://example.com:443" },
      { "https://[2001:db8::1]/a", "https://[2001:db8::1]:443/a" },
      { "https://[2001:db8::1]:8443/a", "https://[2001:db8::1]/a" },
    }) do
      local ok, reason = verify(pair[1], pair[2], form.params)
      assert.is_true(ok, pair[1] .. " signed as " .. pair[2] .. ": " .. tostring(reason))
    end
  end)

  it("does not accept another port, host, path or protocol", function()
    for _, pair in ipairs({
      { "https://example.com/a", "https://example.com:80/a" },
      { "https://example.com:8443/a", "https://example.com:443/a" },
      { "https://example.com/a", "https://example.org/a" },
      { "https://example.com/a", "https://example.com/b" },
      { "https://example.com/a", "http://example.com/a" },
      { "https://example.com/a:80/b", "https://example.com/a/b" },
    }) do
      local ok, _, code = verify(pair[1], pair[2], form.params)
      assert.is_nil(ok, pair[1] .. " signed as " .. pair[2])
      assert.equal("mismatch", code)
    end
  end)

  it("sorts the values of a name and takes each once", function()
    assert.is_true(verify(form.url, form.url, { To = { "b", "a" }, A = "1" }))
    assert.is_true(verify(form.url, form.url, { To = { "b", "a", "b" }, A = "1" }, { To = { "a", "b" }, A = "1" }))
    assert.is_true(verify(form.url, form.url, { To = { "a" } }, { To = "a" }))
    assert.is_nil(verify(form.url, form.url, { To = { "a", "c" } }, { To = { "a", "b" } }))
  end)

  it("takes no parameters at all", function()
    local headers = samples.sign({ reference = "twilio", signing_secret = form.secret, url = form.url })
    assert.is_true(webhook.verify("twilio", form.secret, headers, "", { url = form.url }))
    assert.is_true(webhook.verify("twilio", form.secret, headers, "", { url = form.url, params = {} }))
  end)

  it("sorts names as bytes", function()
    local params = { a = "1", B = "2", ["a.b"] = "3", aa = "4", ["a b"] = "5", A = "6", ["10"] = "7", ["9"] = "8" }
    assert.is_true(verify(form.url, form.url, params))
  end)
end)
