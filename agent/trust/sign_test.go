package trust

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func newKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestSignature(t *testing.T) {
	b := newBench(t)
	keys := makeDir(t, b.dir+"/keys", 0o755)
	known, private := newKey(t)
	_, stranger := newKey(t)
	put(t, keys+"/ops.pem", publicPEM(t, known), 0o644)
	path := put(t, b.dir+"/fan", hello, 0o755)
	raw := string(ed25519.Sign(private, []byte(hello)))
	short := base64.StdEncoding.EncodeToString([]byte(raw))

	// f checks at enforce, then at warn, where the same is told and nothing refused.
	f := func(name, sig, by string, want Code) {
		t.Helper()
		put(t, path+".sig", sig, 0o644)
		v, err := b.Check(path, Policy{Keys: keys})
		if got := refused(t, v, err); got != want || v.SignedBy != by {
			t.Errorf("%s: refused by %q, signed by %q; want %q, %q", name, got, v.SignedBy, want, by)
		}
		warned, err := b.Check(path, Policy{Level: Warn, Keys: keys})
		if err != nil || !slices.Equal(codes(warned.Findings), codes(v.Findings)) {
			t.Errorf("%s at warn: %v, %v", name, warned.Findings, err)
		}
	}
	f("raw", raw, "ops", "")
	f("base64", short, "ops", "")
	f("base64 in lines", short[:64]+"\n"+short[64:]+"\n", "ops", "")
	f("unknown key", string(ed25519.Sign(stranger, []byte(hello))), "", BadSignature)
	f("other bytes", string(ed25519.Sign(private, []byte(hello+"#"))), "", BadSignature)
	f("empty", "", "", BadSignature)
	f("short", raw[:63], "", BadSignature)
	f("long", raw+"\n", "", BadSignature)
	f("endless", strings.Repeat("a", 5000), "", BadSignature)
	f("zeros", strings.Repeat("\x00", 64), "", BadSignature)

	put(t, path, strings.Replace(hello, "h", "j", 1), 0o755)
	f("flipped byte", raw, "", BadSignature)
	put(t, path, hello, 0o755)
	f("as it was", raw, "ops", "")
}

// A pin vouches as a signature does; without keys nobody misses one, except who is strict.
func TestUnsigned(t *testing.T) {
	b := newBench(t)
	keys := makeDir(t, b.dir+"/keys", 0o755)
	path := put(t, b.dir+"/fan", hello, 0o755)
	v, err := b.Check(path, Policy{Level: Warn})
	if err != nil {
		t.Fatal(err)
	}
	f := func(want Policy, refusal Code, found ...Code) {
		t.Helper()
		v, err := b.Check(path, want)
		if got := refused(t, v, err); got != refusal || !slices.Equal(codes(v.Findings), found) {
			t.Errorf("%+v: %q, %v; want %q, %q", want, got, v.Findings, refusal, found)
		}
	}
	f(Policy{Level: Warn}, "")
	f(Policy{Level: Warn, Keys: keys}, "", Unsigned)
	f(Policy{Level: Warn, Keys: keys, SHA256: v.SHA256}, "")
	f(Policy{Level: Off, Keys: keys}, "")
	f(Policy{Keys: keys}, Unsigned, Unsigned)
	f(Policy{}, Unsigned, Unsigned)
	f(Policy{Keys: keys, SHA256: v.SHA256}, "")
	f(Policy{SHA256: v.SHA256}, "")

	put(t, path+".sig", "junk", 0o644) // one that is wrong is worse than none
	f(Policy{Keys: keys, SHA256: v.SHA256}, BadSignature, BadSignature)
	f(Policy{Keys: b.dir + "/absent"}, BadSignature, BadSignature)
}

// Each key that cannot be used is named with the reason, and the others count.
func TestKeys(t *testing.T) {
	dir := folder(t, 0o755)
	public, private := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := publicPEM(t, public)
	put(t, dir+"/good.pem", good, 0o644)
	put(t, dir+"/README", "no key", 0o644)
	keys, err := readKeys(dir)
	if err != nil || len(keys) != 1 || keys[0].name != "good" || !keys[0].public.Equal(public) {
		t.Errorf("keys %v, %v", keys, err)
	}
	put(t, dir+"/text.pem", "no key", 0o644)
	put(t, dir+"/long.pem", strings.Repeat("x", maxKey+1), 0o644)
	put(t, dir+"/curve.pem", publicPEM(t, &curve.PublicKey), 0o644)
	put(t, dir+"/private.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
	put(t, dir+"/broken.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0o644)
	put(t, dir+"/wide.pem", good, 0o666)
	link(t, "nowhere", dir+"/gone.pem")
	keys, err = readKeys(dir)
	if len(keys) != 1 || err == nil {
		t.Fatalf("keys %v, %v", keys, err)
	}
	for _, want := range []string{
		"text.pem: no PEM", "long.pem: more than 16384 bytes", "curve.pem: a key of type *ecdsa.PublicKey", "openssl pkey -pubout",
		"broken.pem: no public key", "wide.pem is writable by its group and others", "nowhere: no such file",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwithout %s", err, want)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil { // then anybody's key could come in
		t.Fatal(err)
	}
	if keys, err := readKeys(dir); len(keys) > 0 || err == nil {
		t.Errorf("keys %v, %v of a folder that everybody may write to", keys, err)
	}
}

// What openssl makes is taken, as the docs say it is made.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("install openssl to see that its signatures are taken")
	}
	b := newBench(t)
	makeDir(t, b.dir+"/keys", 0o755)
	path := binary(t, b.dir+"/fan")
	do := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), openssl, args...)
		cmd.Dir = b.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	do("genpkey", "-algorithm", "ed25519", "-out", "ops.key")
	do("pkey", "-in", "ops.key", "-pubout", "-out", "keys/ops.pem")
	do("pkeyutl", "-sign", "-rawin", "-inkey", "ops.key", "-in", "fan", "-out", "fan.sig")
	if err := os.Chmod(b.dir+"/keys/ops.pem", 0o644); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		v, err := b.Check(path, Policy{Keys: b.dir + "/keys"})
		if err != nil || v.SignedBy != "ops" {
			t.Fatalf("signed by %q, %v", v.SignedBy, err)
		}
		defer v.Close()
		if got := run(t, v, "play", "signed"); got != "hello signed" {
			t.Errorf("it says %q", got)
		}
	}
	check()
	do("base64", "-in", "fan.sig", "-out", "fan.b64")
	if err := os.Rename(b.dir+"/fan.b64", b.dir+"/fan.sig"); err != nil {
		t.Fatal(err)
	}
	check()
}

// A file that is cut off while it is read is an error, not our end.
func TestCutOffWhileRead(t *testing.T) {
	dir := folder(t, 0o755)
	path := put(t, filepath.Join(dir, "fan"), strings.Repeat("x", 1<<20), 0o755)
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = withBytes(f, func(text []byte) {
		if err := os.Truncate(path, 0); err != nil {
			t.Error(err)
		}
		_ = bytes.Count(text, []byte("x"))
		t.Error("INVALID: the end was not met")
	})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want %v", err, ErrBusy)
	}
	if err := withBytes(f, func(text []byte) {
		if len(text) != 0 {
			t.Errorf("%d bytes in an empty file", len(text))
		}
	}); err != nil {
		t.Error(err)
	}
	put(t, path, "changed", 0o755)
	if err := withBytes(f, func([]byte) { put(t, path, "again", 0o755) }); !errors.Is(err, ErrBusy) {
		t.Errorf("written meanwhile: %v, want %v", err, ErrBusy)
	}
	defer func() {
		if fault := recover(); fault != "mine" {
			t.Errorf("panic %v came out", fault)
		}
	}()
	_ = withBytes(f, func([]byte) { panic("mine") })
}
