package main

import (
	"errors"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// What terminals understand.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J" // a buffer of its own, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	topLeft     = "\x1b[H"
	clearLine   = "\x1b[2K"
	clearRest   = "\x1b[J"
	clearAll    = "\x1b[2J"
	noColour    = "\x1b[0m"
)

// terminalSize returns the columns and rows of the terminal that w is, and those of the oldest ones if it does not tell.
func terminalSize(w any) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && s.Col > 0 && s.Row > 0 {
			return int(s.Col), int(s.Row)
		}
	}
	return 80, 24
}

// hungUp reports whether w is a terminal that is gone: its file stays a device, but answers nothing any more.
func hungUp(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return errors.Is(err, unix.EIO)
}

// cut shortens a line to width columns; codes of colours take none.
func cut(line string, width int) string {
	if columns(line) <= width {
		return line
	}
	var b strings.Builder
	used, coloured := 0, false
	for rest := line; rest != ""; {
		if n := codeLength(rest); n > 0 {
			b.WriteString(rest[:n])
			rest, coloured = rest[n:], true
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		if used += runeColumns(r); used > width-1 {
			break
		}
		b.WriteRune(r)
		rest = rest[size:]
	}
	if width > 0 {
		b.WriteString("…")
	}
	if coloured {
		b.WriteString(noColour)
	}
	return b.String()
}

// columns returns how wide a line is on a terminal.
func columns(line string) int {
	n := 0
	for line != "" {
		if skip := codeLength(line); skip > 0 {
			line = line[skip:]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		n += runeColumns(r)
		line = line[size:]
	}
	return n
}

// codeLength returns how long the code is that text begins with: ESC [, parameters, a letter.
func codeLength(text string) int {
	if !strings.HasPrefix(text, "\x1b[") {
		return 0
	}
	for i := 2; i < len(text); i++ {
		if text[i] >= 0x40 && text[i] <= 0x7e {
			return i + 1
		}
	}
	return len(text)
}

// wide holds the blocks of East Asian characters and pictures, which take two columns.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}
