package worker

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"caravan.dev/caravan/components/internal/object"
)

const (
	// Name of the Deployment, its pods' label and the ScaledObject.
	Name = "worker"
	// BentoPort serves Bento's /ping, /ready and /metrics.
	BentoPort = 4195
	// MetricsPort serves HAProxy's /healthz, /ready and /metrics.
	MetricsPort = 8404
	// ModelURL is where Bento reaches the model: the proxy in the same pod.
	ModelURL = "http://127.0.0.1:8080"

	proxyPort = 8080 // as in ModelURL
	modelPort = 11434

	// modelDir holds the models, in the image or pulled into a volume.
	modelDir = "/models"
	// scratchDir is the only place besides modelDir that Ollama may write to: its key pair, temporary files.
	scratchDir = "/tmp"

	// userID is nobody in particular: no image has to know it.
	userID = 10001

	// Names of volumes.
	scratchVolume = "scratch"
	modelVolume   = "models"
	bentoVolume   = "bento"
	haproxyVolume = "haproxy"
)

// PodSpec is a worker. Start and stop need no hooks: Ollama and HAProxy are
// sidecars, started one after the other and before Bento, stopped in reverse
// order and only after Bento, the one main container, has brought its messages to
// an end. Between them the model is loaded, so the first message finds it warm.
func PodSpec(args *Args) corev1.PodSpec {
	configs := Configs(args)
	return corev1.PodSpec{
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		SecurityContext:               object.PodSecurity(userID),
		TerminationGracePeriodSeconds: new(int64(args.Timing.Grace.Seconds())),
		NodeSelector:                  args.Plan.NodeSelector,
		Tolerations:                   args.Plan.Tolerations,
		InitContainers:                []corev1.Container{ollama(args), model(args), haproxy(args)},
		Containers:                    []corev1.Container{bento(args)},
		Volumes:                       volumes(args, configs),
	}
}

// ollama serves the model, on the loopback interface only: HAProxy is its one
// client, and what goes around HAProxy goes around its bound. So the kubelet
// cannot probe it over the pod's address and runs the client in the container.
func ollama(args *Args) corev1.Container {
	c := container("ollama", args.Images.Ollama, args.Plan.Ollama)
	c.Command = []string{"ollama", "serve"}
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	c.Env = ollamaEnv(args)
	c.VolumeMounts = ollamaMounts(args)
	c.StartupProbe = answers(1, 120)
	c.LivenessProbe = answers(30, 4)
	return c
}

// model pulls the model when it is not there, loads it, and ends. It asks for
// what Bento will have afterwards, so it does not make the pod larger.
func model(args *Args) corev1.Container {
	c := container("model", args.Images.Ollama, args.Plan.Bento)
	c.Command = []string{"ollama", "run", args.Plan.Model.Name, ""} // an empty prompt only loads
	c.Env = ollamaEnv(args)
	c.VolumeMounts = ollamaMounts(args)
	return c
}

// haproxy starts once the model is loaded and is ready while Ollama answers.
func haproxy(args *Args) corev1.Container {
	c := container("haproxy", args.Images.HAProxy, args.Plan.HAProxy)
	c.Command = []string{"haproxy", "-db", "-f", haproxyDir + "/" + haproxyFile}
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	c.Ports = []corev1.ContainerPort{{Name: "haproxy", ContainerPort: MetricsPort, Protocol: corev1.ProtocolTCP}}
	c.VolumeMounts = []corev1.VolumeMount{{Name: haproxyVolume, MountPath: haproxyDir, ReadOnly: true}}
	c.StartupProbe = gets(1, 60, "/ready", "haproxy")
	c.ReadinessProbe = gets(5, 3, "/ready", "haproxy")
	c.LivenessProbe = gets(10, 6, "/healthz", "haproxy")
	return c
}

// bento takes messages, never more than it has slots for: nothing is read ahead.
func bento(args *Args) corev1.Container {
	c := container("bento", args.Images.Bento, args.Plan.Bento)
	c.Command = []string{"/bento", "-c", bentoDir + "/" + bentoFile}
	c.Env = []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "REDIS_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: args.Queue.Secret}, Key: args.Queue.PasswordKey,
		}}},
		// The kubelet fills in the password; its letters and digits need no escaping.
		{Name: "REDIS_URL", Value: fmt.Sprintf("redis://default:$(REDIS_PASSWORD)@%s:%d", args.Queue.Service, args.Queue.Port)},
	}
	c.Ports = []corev1.ContainerPort{{Name: "bento", ContainerPort: BentoPort, Protocol: corev1.ProtocolTCP}}
	c.VolumeMounts = []corev1.VolumeMount{{Name: bentoVolume, MountPath: bentoDir, ReadOnly: true}}
	c.StartupProbe = gets(1, 60, "/ping", "bento")
	c.ReadinessProbe = gets(5, 3, "/ready", "bento")
	c.LivenessProbe = gets(10, 6, "/ping", "bento")
	return c
}

func container(name, image string, resources corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Resources: resources, SecurityContext: object.ContainerSecurity(),
	}
}

// ollamaEnv holds the settings of the server and, in the same names, of its client.
func ollamaEnv(args *Args) []corev1.EnvVar {
	env := []corev1.EnvVar{
		{Name: "HOME", Value: scratchDir},
		{Name: "OLLAMA_HOST", Value: "127.0.0.1:" + strconv.Itoa(modelPort)},
		{Name: "OLLAMA_MODELS", Value: modelDir},
		{Name: "OLLAMA_NUM_PARALLEL", Value: strconv.Itoa(args.Plan.Slots)},
		{Name: "OLLAMA_CONTEXT_LENGTH", Value: strconv.Itoa(args.Plan.Model.ContextTokens)},
		{Name: "OLLAMA_MAX_LOADED_MODELS", Value: "1"},
		{Name: "OLLAMA_KEEP_ALIVE", Value: "-1"}, // for ever
	}
	if args.Plan.Model.InImage {
		env = append(env, corev1.EnvVar{Name: "OLLAMA_NOPRUNE", Value: "1"}) // the image cannot be written
	}
	return env
}

func ollamaMounts(args *Args) []corev1.VolumeMount {
	mounts := []corev1.VolumeMount{{Name: scratchVolume, MountPath: scratchDir}}
	if !args.Plan.Model.InImage {
		mounts = append(mounts, corev1.VolumeMount{Name: modelVolume, MountPath: modelDir})
	}
	return mounts
}

func volumes(args *Args, configs ConfigMaps) []corev1.Volume {
	out := []corev1.Volume{
		emptyDir(scratchVolume),
		configVolume(bentoVolume, configs.Bento),
		configVolume(haproxyVolume, configs.HAProxy),
	}
	if !args.Plan.Model.InImage {
		out = append(out, emptyDir(modelVolume))
	}
	return out
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func configVolume(name string, config *corev1.ConfigMap) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: config.Name},
	}}}
}

// gets probes a path of a named port over HTTP.
func gets(periodSeconds, failures int32, path, port string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromString(port), Scheme: corev1.URISchemeHTTP,
		}},
		PeriodSeconds: periodSeconds, TimeoutSeconds: 5, FailureThreshold: failures,
	}
}

// answers probes Ollama with its own client, which is granted ten seconds: on a
// busy CPU a new process is slow.
func answers(periodSeconds, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"ollama", "list"}}},
		PeriodSeconds: periodSeconds, TimeoutSeconds: 10, FailureThreshold: failures,
	}
}
