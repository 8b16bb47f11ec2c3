package auth

// Secret is a configured secret. It reads like any string and prints as nothing but the fact that it is set, whichever
// way it gets into a log line, an error or a dumped configuration. [Secret.Reveal] gives the text to whoever needs it.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer without showing the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer, so that %#v shows nothing either.
func (s Secret) GoString() string { return s.String() }

// MarshalYAML writes the redacted form.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalText writes the redacted form, in JSON too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
