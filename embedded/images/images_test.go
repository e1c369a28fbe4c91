package images

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// example is an image of a dynamic binary, a folder and a link.
func example(t *testing.T) Image {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weights"), []byte("1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Image{Name: "example", Tag: "1.0", User: "42", StopSignal: "SIGUSR1", Entrypoint: []string{"/bin/tool"},
		Files: map[string]string{"/bin/tool": "/bin/ls", "/models": dir}, Links: map[string]string{"/bin/alias": "tool"}}
}

func TestAnImageHoldsItsFilesLibrariesAndSettings(t *testing.T) {
	archive, err := Archive([]Image{example(t)}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("caravan.local/example:1.0")
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(archive, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "42" || config.Config.StopSignal != "SIGUSR1" || config.Config.Entrypoint[0] != "/bin/tool" {
		t.Errorf("the image runs %v as %s and stops on %s", config.Config.Entrypoint, config.Config.User, config.Config.StopSignal)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	entries := list(t, content)
	if h := entries["models/weights"]; h == nil || h.Mode&0o444 != 0o444 {
		t.Errorf("a file of a folder is missing or not readable by every user: %+v", h)
	}
	if h := entries["bin/alias"]; h == nil || h.Linkname != "tool" {
		t.Errorf("the link is %+v", h)
	}
	for _, want := range []string{"bin/tool", "lib64/ld-linux-x86-64.so.2", "etc/passwd", "tmp/"} {
		if entries[want] == nil {
			t.Errorf("%s is missing", want)
		}
	}
}

func list(t *testing.T, content io.Reader) map[string]*tar.Header {
	t.Helper()
	entries := map[string]*tar.Header{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		if entries[header.Name] != nil {
			t.Errorf("%s is there twice", header.Name)
		}
		entries[header.Name] = header
	}
}

func TestAnArchiveIsKeptUntilAFileChanges(t *testing.T) {
	image, cache := example(t), t.TempDir()
	first, err := Archive([]Image{image}, cache)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Archive([]Image{image}, cache); err != nil || again != first {
		t.Errorf("the second archive is %s, %v; want %s", again, err, first)
	}
	image.Tag = "1.1"
	changed, err := Archive([]Image{image}, cache)
	if err != nil || changed == first {
		t.Errorf("the changed archive is %s, %v", changed, err)
	}
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the old archive is still there: %v", err)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := Archive([]Image{{Name: "broken", Tag: "1", Files: map[string]string{"/x": "/no/such/file"}}}, t.TempDir())
	if err == nil || err.Error() != "image broken: stat /no/such/file: no such file or directory" {
		t.Errorf("error is %v", err)
	}
}
