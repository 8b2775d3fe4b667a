package plugin

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
)

// letterKeySize is that of the hash by which ids of dead letters are made.
const letterKeySize = 32

// letterKey returns the secret of a plugin by which the ids of its dead letters are made. It lies in the plugin's folder, where its next
// process finds it. An error: it cannot be kept, and ids have to be random.
func letterKey(dir string) ([]byte, error) {
	if dir == "" {
		return nil, errors.New("no folder for state")
	}
	path := filepath.Join(dir, "letters.key")
	if key, err := os.ReadFile(path); err == nil && len(key) == letterKeySize {
		return key, nil
	}
	key := make([]byte, letterKeySize)
	_, _ = rand.Read(key) // never fails
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeKey(path, key); err != nil {
		return nil, err
	}
	return os.ReadFile(path) // of whoever was last: during a swap there are two processes
}

// writeKey writes a key which nobody finds in part.
func writeKey(path string, key []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".letters.key-*") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // where it has not become path
	_, err = f.Write(key)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
