package telemetry

import (
	"encoding/json"
	"testing"
)

func TestDigestText(t *testing.T) {
	d := DigestOf([]byte("abc"))
	if want := "ba7816bf8f01cfea414140de5dae2223"; d.String() != want {
		t.Errorf("digest of abc = %s; want %s", d, want)
	}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got Digest
	if err := json.Unmarshal(b, &got); err != nil || got != d {
		t.Errorf("%s comes back as %s, %v", b, got, err)
	}
	if err := got.UnmarshalText(nil); err != nil || !got.IsZero() {
		t.Errorf("no text = %s, %v; want zero", got, err)
	}
	for _, text := range []string{"00", "ba7816bf8f01cfea414140de5dae222g", "ba7816bf8f01cfea414140de5dae222300"} {
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as a digest", text)
		}
	}
}
