local raises = require("spec.support.raises")
local webhook = require("webhook")

local SECRET = "It's a Secret to Everybody"
local BODY = "Hello, World!"
local SIGNATURE = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

local function verify(headers, secret, body)
  return webhook.verify("capawesome", secret or SECRET, headers, body or BODY)
end

local function refused(code, headers, secret, body)
  local ok, reason, got = verify(headers, secret, body)
  assert.is_nil(ok)
  assert.is_string(reason)
  assert.equal(code, got)
  return reason
end

local function flip(byte, bit)
  local worth = 2 ^ bit
  return math.floor(byte / worth) % 2 == 1 and byte - worth or byte + worth
end

describe("the capawesome signature", function()
  it("is the published one", function()
    assert.same({ ["X-Signature"] = SIGNATURE }, webhook.sign("capawesome", SECRET, BODY))
    assert.is_true(verify({ ["X-Signature"] = SIGNATURE }))
  end)

  it("is found under a header name in any case, as a string or a list of one", function()
    for _, name in ipairs({ "x-signature", "X-SIGNATURE", "X-Signature", "x-SiGnAtUrE" }) do
      assert.is_true(verify({ [name] = SIGNATURE }))
      assert.is_true(verify({ [name] = { SIGNATURE }, Host = "x" }))
    end
  end)

  it("goes there and back for any bytes", function()
    local every_byte = {}
    for byte = 0, 255 do
      every_byte[#every_byte + 1] = string.char(byte)
    end
    local bytes = table.concat(every_byte)
    for _, body in ipairs({ "", "\0", bytes, bytes:rep(5000) }) do
      for _, secret in ipairs({ "x", "\0", bytes, ("k"):rep(64), ("k"):rep(65) }) do
        assert.is_true(verify(webhook.sign("capawesome", secret, body), secret, body))
      end
    end
  end)

  it("does not match once any bit of the body or the signature is changed", function()
    for at = 1, #BODY do
      for bit = 0, 7 do
        local changed = BODY:sub(1, at - 1) .. string.char(flip(BODY:byte(at), bit)) .. BODY:sub(at + 1)
        refused("mismatch", { ["X-Signature"] = SIGNATURE }, nil, changed)
      end
    end
    for at = 1, #SIGNATURE do
      local digit = SIGNATURE:sub(at, at) == "0" and "1" or "0"
      refused("mismatch", { ["X-Signature"] = SIGNATURE:sub(1, at - 1) .. digit .. SIGNATURE:sub(at + 1) })
    end
    refused("mismatch", { ["X-Signature"] = SIGNATURE }, SECRET .. "x")
  end)

  it("is refused in the wrong form", function()
    for _, bad in ipairs({
      SIGNATURE:sub(1, 63), SIGNATURE .. "0", SIGNATURE:upper(), SIGNATURE:sub(1, 63) .. "g", "sha256=" .. SIGNATURE,
      " " .. SIGNATURE, SIGNATURE .. "\n", SIGNATURE:sub(1, 63) .. "\0", "x",
    }) do
      refused("bad_format", { ["X-Signature"] = bad })
    end
  end)

  it("is refused when the header is missing or empty", function()
    refused("missing_header", {})
    refused("missing_header", { ["X-Signature"] = "" })
    refused("missing_header", { ["X-Signature"] = {} })
    refused("missing_header", { ["X-Signature"] = 7 })
    refused("missing_header", { ["X-Signature-2"] = SIGNATURE })
  end)

  it("is refused when the header is there twice, in a list or by two names", function()
    refused("duplicate_header", { ["X-Signature"] = { SIGNATURE, SIGNATURE } })
    refused("duplicate_header", { ["X-Signature"] = SIGNATURE, ["x-signature"] = SIGNATURE })
    refused("duplicate_header", { ["X-Signature"] = { SIGNATURE }, ["X-SIGNATURE"] = "" })
  end)

  it("is refused with an empty secret", function()
    refused("missing_secret", { ["X-Signature"] = SIGNATURE }, "")
    local headers, _, code = webhook.sign("capawesome", "", BODY)
    assert.is_nil(headers)
    assert.equal("missing_secret", code)
  end)

  it("never shows the secret or the right signature", function()
    local reason = refused("mismatch", { ["X-Signature"] = ("0"):rep(64) })
    assert.is_nil(reason:find("Secret", 1, true))
    assert.is_nil(reason:find(SIGNATURE, 1, true))
  end)

  it("needs arguments of the right types", function()
    raises("unknown scheme 'capawsome' (did you mean 'capawesome'?)", function()
      webhook.sign("capawsome", SECRET, BODY)
    end)
    raises("unknown scheme", function()
      webhook.verify(nil, SECRET, {}, BODY)
    end)
    raises("sign: a secret and a body expected", function()
      webhook.sign("capawesome", nil, BODY)
    end)
    raises("verify: a secret, a table of headers and a body expected", function()
      webhook.verify("capawesome", SECRET, SIGNATURE, BODY)
    end)
  end)
end)
