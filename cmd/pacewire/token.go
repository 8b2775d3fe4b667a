package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A webToken is what changes through the API of a hub need, in a file for whoever may read that.
type webToken struct {
	text, file string
	lock       *os.File // of the hub that has the usual file; nil: this one has a file of its own
}

const (
	tokenName  = "http.token"      // of the hub that came first
	tokenNames = "http-%s.token"   // of the others in the same run folder, by port
	tokenLock  = "http.token.lock" // held by the hub that has the usual file
	tokenSize  = 32                // random bytes
)

// leaveToken makes the token of the hub that listens at an address, which two hubs of a run folder never share.
func leaveToken(address net.Addr) (*webToken, error) {
	dir, err := runDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("run folder: %w: set PACEWIRE_RUN to a folder that can be written", err)
	}
	t := &webToken{text: newToken()}
	if t.lock, err = lockToken(dir); err != nil {
		return nil, fmt.Errorf("token of the api: %w", err)
	}
	name := tokenName
	if t.lock == nil {
		_, port, _ := net.SplitHostPort(address.String())
		name = fmt.Sprintf(tokenNames, port)
	}
	t.file = filepath.Join(dir, name)
	if err := writeToken(t.file, t.text); err != nil {
		t.unlock()
		return nil, fmt.Errorf("token of the api: %w", err)
	}
	return t, nil
}

func newToken() string {
	var random [tokenSize]byte
	_, _ = rand.Read(random[:]) // it never fails
	return hex.EncodeToString(random[:])
}

// lockToken takes the usual file for this hub; nil says that another one has it.
func lockToken(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, tokenLock), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, nil //nolint:nilerr,nilnil // the other file does as well
	}
	return f, nil
}

// writeToken makes a new file, whatever stood in its place: a hub that was killed has left it, for nobody else has this name.
func writeToken(file, text string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Close())
}

// remove takes the file away, if it is still this hub's.
func (t *webToken) remove() {
	if text, err := os.ReadFile(t.file); err == nil && string(text) == t.text+"\n" {
		_ = os.Remove(t.file)
	}
	t.unlock()
}

func (t *webToken) unlock() {
	if t.lock != nil {
		t.lock.Close()
	}
}
