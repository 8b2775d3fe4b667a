package shim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/plugin"
)

// The exit codes of a program that is started for each batch, as sysexits.h has them. Every other one but 0 is an error, too.
const (
	exitPermanent = 65
	exitRetry     = 75
)

// refusal returns the error that a line of the answer asks for, nil where none does. The batch is tried again, or never helps.
func refusal(lines []byte) error {
	if !bytes.Contains(lines, []byte{'!'}) {
		return nil
	}
	for line := range bytes.Lines(lines) {
		word, text, _ := strings.Cut(strings.TrimRight(string(line[:min(len(line), 1<<10)]), "\r\n"), " ")
		switch word {
		case "!retry":
			return refused(text)
		case "!permanent":
			return plugin.Permanent(refused(text))
		}
	}
	return nil
}

func refused(text string) error {
	if text = strings.TrimSpace(text); text == "" {
		return errors.New("the program refuses the batch and does not say why")
	}
	return errors.New(strings.ToValidUTF8(text, "\uFFFD"))
}

// outcome returns the error that the end of a program means.
func outcome(r child.Result, ctxErr error) error {
	switch {
	case r.Late:
		return fmt.Errorf("the program gives no answer: %w", ctxErr)
	case r.Cut:
		return fmt.Errorf("the program cannot be followed: %w", child.ErrTooMuch)
	case r.Exit.Code == 0:
		return nil
	}
	err := child.Saying(fmt.Errorf("the program has ended: %s", r.Exit), r.LastLine)
	if r.Exit.Code == exitPermanent {
		return plugin.Permanent(err)
	}
	return err
}
