package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	maxToken  = 64 // bytes of a token
	keptBytes = 48 // of a token that is too long, before "=="
	hashBytes = 12 // hex digits after "=="
	upperHex  = "0123456789ABCDEF"
)

// Token turns any name into one token of a subject: letters, digits, "_" and "-"
// stay, every other byte becomes "=XX". A result above 64 bytes keeps its first
// 48 and ends in a hash of the name. Tokens also serve as names of consumers and
// keys.
func Token(name string) string {
	if name == "" {
		return "="
	}
	if plain(name) && len(name) <= maxToken {
		return name
	}
	escaped := escape(name)
	if len(escaped) <= maxToken {
		return escaped
	}
	sum := sha256.Sum256([]byte(name))
	return escaped[:whole(escaped, keptBytes)] + "==" + hex.EncodeToString(sum[:hashBytes/2])
}

// Untoken gives back the name behind a token. Of a hashed token the name cannot
// be known: hashed is true and name is the token itself.
func Untoken(token string) (name string, hashed bool, err error) {
	switch {
	case token == "=":
		return "", false, nil
	case token == "" || len(token) > maxToken:
		return "", false, fmt.Errorf("%w: %.80q has %d bytes", ErrBadToken, token, len(token))
	}
	kept, hash, hashed := strings.Cut(token, "==")
	if hashed && !validHash(kept, hash) {
		return "", false, fmt.Errorf("%w: %q", ErrBadToken, token)
	}
	name, ok := unescape(kept)
	if !ok {
		return "", false, fmt.Errorf("%w: %q", ErrBadToken, token)
	}
	if hashed {
		return token, true, nil
	}
	return name, false, nil
}

func escape(name string) string {
	var b strings.Builder
	b.Grow(3 * len(name))
	for i := range len(name) {
		if c := name[i]; stays(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

func unescape(token string) (string, bool) {
	if plain(token) {
		return token, true
	}
	name := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '=' {
			if i+2 >= len(token) {
				return "", false
			}
			hi, lo := strings.IndexByte(upperHex, token[i+1]), strings.IndexByte(upperHex, token[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			if c = byte(hi<<4 | lo); stays(c) {
				return "", false
			}
			i += 2
		} else if !stays(c) {
			return "", false
		}
		name = append(name, c)
	}
	return string(name), true
}

// whole returns n, or less where a cut at n would split an escape.
func whole(escaped string, n int) int {
	for back := 1; back <= 2; back++ {
		if escaped[n-back] == '=' {
			return n - back
		}
	}
	return n
}

// validHash tells whether Token could have made kept + "==" + hash.
func validHash(kept, hash string) bool {
	if len(kept) < keptBytes-2 || len(kept) > keptBytes || len(hash) != hashBytes {
		return false
	}
	return strings.Trim(hash, "0123456789abcdef") == ""
}

func plain(s string) bool {
	for i := range len(s) {
		if !stays(s[i]) {
			return false
		}
	}
	return true
}

func stays(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
