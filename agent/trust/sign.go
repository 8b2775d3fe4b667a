package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxSignature = 1 << 10  // bytes of a .sig file
	maxKey       = 16 << 10 // bytes of a .pem file
	maxKeys      = 64
)

// A key is somebody who signs programs.
type key struct {
	name   string
	public ed25519.PublicKey
}

// signature returns who signed the file, and what is wrong with that. A pin vouches for a program that is not signed.
func signature(real string, f *os.File, want Policy) (by string, found []Finding, err error) {
	if want.Keys == "" {
		return "", want.unsigned("there are no keys to check signatures of %s with: set discover: {keys: FOLDER}, pin its SHA-256, or set trust: warn", real), nil
	}
	sig, err := readSignature(real + ".sig")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", want.unsigned("there is no signature %s.sig: sign the program or pin its SHA-256", real), nil
	case err != nil:
		return "", []Finding{finding(BadSignature, "signature: %v", err)}, nil
	}
	keys, faults := readKeys(want.Keys)
	if err := withBytes(f, func(text []byte) { by = signer(keys, text, sig) }); err != nil {
		return "", nil, err
	}
	if by != "" {
		return by, nil, nil
	}
	detail := fmt.Sprintf("%s.sig is of other bytes, or by none of the %d keys in %s: sign the program as it is now", real, len(keys), want.Keys)
	if faults != nil {
		detail += fmt.Sprintf(" (not used: %v)", faults)
	}
	return "", []Finding{{BadSignature, detail}}, nil
}

// unsigned is what to say of a program without a signature: nothing where nobody signs and nobody wants it, nor if it is pinned.
func (p Policy) unsigned(format, real string) []Finding {
	if p.SHA256 != "" || p.Keys == "" && (p.Unsigned || !p.strict()) {
		return nil
	}
	return []Finding{finding(Unsigned, format, real)}
}

// readSignature reads a detached signature: its 64 bytes, or their base64.
func readSignature(name string) ([]byte, error) {
	text, err := readSmall(name, maxSignature)
	if err != nil {
		return nil, err
	}
	if len(text) == ed25519.SignatureSize {
		return text, nil
	}
	sig, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(sig) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%s: it has %d bytes, want the %d of an ed25519 signature, or their base64", name, len(text), ed25519.SignatureSize)
	}
	return sig, nil
}

// readKeys reads the public keys of a folder, and says which cannot be used.
func readKeys(dir string) ([]key, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var keys []key
	var faults []error
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".pem")
		if !ok || len(keys) == maxKeys {
			continue
		}
		public, err := readKey(filepath.Join(dir, e.Name()))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		keys = append(keys, key{base, public})
	}
	return keys, errors.Join(faults...)
}

// readKey reads a public key. One that others may exchange vouches for nothing.
func readKey(name string) (ed25519.PublicKey, error) {
	real, found, err := Way(name)
	if err != nil {
		return nil, err
	}
	if len(found) > 0 {
		return nil, errors.New(found[0].Detail)
	}
	text, err := readSmall(real, maxKey)
	if err != nil {
		return nil, err
	}
	public, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return public, nil
}

// parseKey reads PEM with a SubjectPublicKeyInfo, as "openssl pkey -pubout" writes it.
func parseKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("no PEM")
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("a private key, which belongs to who signs: openssl pkey -pubout makes the public one")
	}
	found, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("no public key in the PEM") // the library's reason is for who writes libraries
	}
	public, ok := found.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T, want ed25519", found)
	}
	return public, nil
}

func readSmall(name string, limit int64) ([]byte, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return text, err
}

// signer returns the name of the key that made the signature, or "".
func signer(keys []key, text, sig []byte) string {
	for _, k := range keys {
		if ed25519.Verify(k.public, text, sig) {
			return k.name
		}
	}
	return ""
}

// withBytes hands on what is in the file. Ed25519 wants all of it at once; mapped, it takes no memory that the kernel could
// not have back. Who cuts the file off meanwhile makes us fault: that is an error like any other.
func withBytes(f *os.File, use func(text []byte)) (err error) {
	id, err := identify(f)
	if err != nil {
		return err
	}
	if id.Size == 0 { // nothing to map
		use(nil)
		return nil
	}
	text, err := unix.Mmap(int(f.Fd()), 0, int(id.Size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("map %s: %w", f.Name(), err)
	}
	defer func() { err = errors.Join(err, unix.Munmap(text)) }()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if _, cut := fault.(interface{ Addr() uintptr }); cut {
			err = ErrBusy
		} else if fault != nil {
			panic(fault)
		}
	}()
	use(text)
	runtime.KeepAlive(f)
	if after, err := identify(f); err != nil || after != id {
		return ErrBusy
	}
	return nil
}
