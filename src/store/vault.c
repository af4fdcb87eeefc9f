#include "store/vault.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/encoding.h"

#define VERSION "v1"

enum {
  KEY_ID = LW_VAULT_KEY_ID_SIZE,
  NONCE = 12,
  TAG = 16,
  OVERHEAD = KEY_ID + NONCE + TAG,
  PREFIX = sizeof VERSION, /* and a colon */
  MAX_KEYS = LW_VAULT_MAX_OLD_KEYS + 1,
};

struct key {
  uint8_t id[KEY_ID], bytes[LW_VAULT_KEY_SIZE];
};

struct lw_vault {
  size_t count;
  struct key keys[MAX_KEYS];
};

/* -- keys ---------------------------------------------------------------------------------------------- */

struct lw_vault *lw_vault_new(struct lw_error *error) {
  struct lw_vault *vault =
      mmap(NULL, sizeof *vault, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (vault == MAP_FAILED) {
    lw_fail(error, "memory", "out of memory for the encryption keys");
    return NULL;
  }
  /* Where the system cannot do one of these, the keys are as safe as the rest of the memory. */
  madvise(vault, sizeof *vault, MADV_DONTDUMP);
  madvise(vault, sizeof *vault, MADV_WIPEONFORK);
  mlock(vault, sizeof *vault);
  return vault;
}

void lw_vault_free(struct lw_vault *vault) {
  if (vault == NULL) return;
  OPENSSL_cleanse(vault, sizeof *vault);
  munmap(vault, sizeof *vault);
}

static bool same_id(const uint8_t *a, const uint8_t *b) {
  return memcmp(a, b, KEY_ID) == 0;
}

static const struct key *find_key(const struct lw_vault *vault, const uint8_t *id) {
  for (size_t i = 0; i < vault->count; i++)
    if (same_id(vault->keys[i].id, id)) return &vault->keys[i];
  return NULL;
}

bool lw_vault_add_key(struct lw_vault *vault, const uint8_t bytes[LW_VAULT_KEY_SIZE],
                      struct lw_error *error) {
  static const unsigned char text[] = "lua-webhook key id";
  uint8_t digest[EVP_MAX_MD_SIZE];
  if (HMAC(EVP_sha256(), bytes, LW_VAULT_KEY_SIZE, text, sizeof text - 1, digest, NULL) == NULL)
    return lw_fail(error, "crypto", "OpenSSL could not name an encryption key");
  if (find_key(vault, digest) != NULL) return true;
  if (vault->count == MAX_KEYS)
    return lw_fail(error, "invalid", "more than %d old encryption keys", LW_VAULT_MAX_OLD_KEYS);
  struct key *key = &vault->keys[vault->count++];
  memcpy(key->id, digest, sizeof key->id);
  memcpy(key->bytes, bytes, sizeof key->bytes);
  return true;
}

void lw_vault_key_id(const struct lw_vault *vault, uint8_t id[LW_VAULT_KEY_ID_SIZE]) {
  memcpy(id, vault->keys[0].id, KEY_ID);
}

bool lw_vault_has_key(const struct lw_vault *vault, const uint8_t id[LW_VAULT_KEY_ID_SIZE]) {
  return find_key(vault, id) != NULL;
}

/* -- the cipher ---------------------------------------------------------------------------------------- */

/* The parts of a sealed text's bytes. */
struct parts {
  uint8_t *id, *nonce, *ciphertext, *tag;
  int length; /* of the ciphertext, which is that of the text */
};

static struct parts parts_of(uint8_t *bytes, size_t length) {
  return (struct parts){.id = bytes,
                        .nonce = bytes + KEY_ID,
                        .ciphertext = bytes + KEY_ID + NONCE,
                        .tag = bytes + KEY_ID + NONCE + length,
                        .length = (int)length};
}

/* The zero bytes keep a table and a column from running into each other. */
static bool add_place(EVP_CIPHER_CTX *cipher, const struct lw_vault_place *place) {
  int done;
  const unsigned char *table = (const unsigned char *)place->table;
  const unsigned char *column = (const unsigned char *)place->column;
  return EVP_CipherUpdate(cipher, NULL, &done, (const unsigned char *)VERSION, sizeof VERSION) == 1 &&
         EVP_CipherUpdate(cipher, NULL, &done, table, (int)strlen(place->table) + 1) == 1 &&
         EVP_CipherUpdate(cipher, NULL, &done, column, (int)strlen(place->column) + 1) == 1 &&
         EVP_CipherUpdate(cipher, NULL, &done, place->row->bytes, sizeof place->row->bytes) == 1;
}

static EVP_CIPHER_CTX *start(const struct key *key, const struct parts *parts,
                             const struct lw_vault_place *place, bool seals) {
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  if (cipher == NULL) return NULL;
  if (EVP_CipherInit_ex2(cipher, EVP_aes_256_gcm(), key->bytes, parts->nonce, seals, NULL) == 1 &&
      add_place(cipher, place))
    return cipher;
  EVP_CIPHER_CTX_free(cipher);
  return NULL;
}

static bool encrypt(const struct key *key, const struct parts *parts, const struct lw_vault_place *place,
                    const char *text) {
  if (RAND_bytes(parts->nonce, NONCE) != 1) return false;
  EVP_CIPHER_CTX *cipher = start(key, parts, place, true);
  int done;
  bool ok =
      cipher != NULL &&
      EVP_CipherUpdate(cipher, parts->ciphertext, &done, (const unsigned char *)text, parts->length) == 1 &&
      EVP_CipherFinal_ex(cipher, parts->tag, &done) == 1 && /* writes nothing: GCM has no padding */
      EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, parts->tag) == 1;
  EVP_CIPHER_CTX_free(cipher);
  return ok;
}

/* *genuine: the tag is right. What was decrypted before is nobody's to read otherwise. */
static bool decrypt(const struct key *key, const struct parts *parts, const struct lw_vault_place *place,
                    char *text, bool *genuine) {
  EVP_CIPHER_CTX *cipher = start(key, parts, place, false);
  int done;
  unsigned char *out = (unsigned char *)text;
  bool ok = cipher != NULL && EVP_CipherUpdate(cipher, out, &done, parts->ciphertext, parts->length) == 1 &&
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG, parts->tag) == 1;
  *genuine = ok && EVP_CipherFinal_ex(cipher, out + parts->length, &done) == 1;
  EVP_CIPHER_CTX_free(cipher);
  return ok;
}

/* -- sealing ------------------------------------------------------------------------------------------- */

static char *write_sealed(const uint8_t *bytes, size_t length) {
  size_t characters = LW_BASE64_LENGTH(length);
  char *sealed = malloc(PREFIX + characters + 1);
  if (sealed == NULL) return NULL;
  memcpy(sealed, VERSION ":", PREFIX);
  lw_base64_encode(bytes, length, sealed + PREFIX);
  sealed[PREFIX + characters] = '\0';
  return sealed;
}

char *lw_vault_seal(const struct lw_vault *vault, const struct lw_vault_place *place, const char *text,
                    struct lw_error *error) {
  size_t length = strlen(text);
  if (length > LW_VAULT_MAX_TEXT) {
    lw_fail(error, "invalid", "%s: longer than %d bytes", place->column, LW_VAULT_MAX_TEXT);
    return NULL;
  }
  uint8_t *bytes = malloc(OVERHEAD + length);
  if (bytes == NULL) {
    lw_fail(error, "memory", "out of memory encrypting");
    return NULL;
  }
  struct parts parts = parts_of(bytes, length);
  char *sealed = NULL;
  memcpy(parts.id, vault->keys[0].id, KEY_ID);
  if (!encrypt(&vault->keys[0], &parts, place, text))
    lw_fail(error, "crypto", "OpenSSL could not encrypt, or had no random bytes");
  else if ((sealed = write_sealed(bytes, OVERHEAD + length)) == NULL)
    lw_fail(error, "memory", "out of memory encrypting");
  free(bytes);
  return sealed;
}

/* -- opening ------------------------------------------------------------------------------------------- */

static bool check_version(const char *sealed, struct lw_error *error) {
  if (strncmp(sealed, VERSION ":", PREFIX) == 0) return true;
  size_t digits = *sealed == 'v' ? strspn(sealed + 1, "0123456789") : 0;
  if (digits > 0 && sealed[1 + digits] == ':')
    return lw_fail(error, "key", "a newer version of this library encrypted it");
  return lw_fail(error, "key", "it is not encrypted, though the database is");
}

/* Into `bytes`, whose `capacity` is enough. */
static bool read_sealed(const char *sealed, uint8_t *bytes, size_t capacity, size_t *length,
                        struct lw_error *error) {
  const char *characters = sealed + PREFIX;
  struct lw_bytes text = {characters, strlen(characters)};
  if (lw_base64_decode(text, bytes, capacity, length) == 1 && *length >= OVERHEAD &&
      *length - OVERHEAD <= LW_VAULT_MAX_TEXT)
    return true;
  return lw_fail(error, "key", "it is damaged");
}

static char *open_parts(const struct lw_vault *vault, const struct parts *parts,
                        const struct lw_vault_place *place, struct lw_error *error) {
  const struct key *key = find_key(vault, parts->id);
  if (key == NULL) {
    lw_fail(error, "key", "it is encrypted under another key");
    return NULL;
  }
  size_t length = (size_t)parts->length;
  char *text = malloc(length + 1);
  if (text == NULL) {
    lw_fail(error, "memory", "out of memory decrypting");
    return NULL;
  }
  bool genuine = false;
  text[length] = '\0';
  if (!decrypt(key, parts, place, text, &genuine))
    lw_fail(error, "crypto", "OpenSSL could not decrypt");
  else if (!genuine)
    lw_fail(error, "key", "it was changed, or copied from another place");
  if (genuine) return text;
  OPENSSL_cleanse(text, length);
  free(text);
  return NULL;
}

char *lw_vault_open(const struct lw_vault *vault, const struct lw_vault_place *place, const char *sealed,
                    struct lw_error *error) {
  if (!check_version(sealed, error)) return NULL;
  size_t length, capacity = strlen(sealed);
  uint8_t *bytes = malloc(capacity);
  if (bytes == NULL) {
    lw_fail(error, "memory", "out of memory decrypting");
    return NULL;
  }
  char *text = NULL;
  if (read_sealed(sealed, bytes, capacity, &length, error)) {
    struct parts parts = parts_of(bytes, length - OVERHEAD);
    text = open_parts(vault, &parts, place, error);
  }
  free(bytes);
  return text;
}
