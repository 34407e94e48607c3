package plain

import "testing"

func TestText(t *testing.T) {
	tests := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain":                        {"web-1.example.com", 99, "web-1.example.com"},
		"letters beyond ASCII stay":    {"bücher", 99, "bücher"},
		"an escape sequence":           {"\x1b[31mred\x1b[0m", 99, "[31mred[0m"},
		"lines and tabs":               {"a\r\nb\tc", 99, "abc"},
		"invalid UTF-8":                {"a\xff\xfeb", 99, "ab"},
		"right to left and zero width": {"a\u202eb\u200bc", 99, "abc"},
		"cut within a character":       {"aü", 2, "a"},
		"empty":                        {"", 9, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Text(tt.in, tt.limit); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
