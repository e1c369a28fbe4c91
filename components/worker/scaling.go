package worker

import (
	"fmt"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/stacks"
)

// The KEDA kinds below carry the fields that Caravan sets. KEDA's own Go types
// would bring its whole module, a few hundred others, into this one.

// kedaAPI is the group and version of KEDA's kinds.
const kedaAPI = "keda.sh/v1alpha1"

// waitFor is Pulumi's annotation that makes it wait for a condition of an object
// whose kind it does not know. A ScaledObject is ready once KEDA has reached the
// queue and made its autoscaler; one that never is would scale nothing, silently.
const waitFor = "pulumi.com/waitFor"

// TriggerAuthentication tells KEDA where a trigger's password is.
type TriggerAuthentication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              TriggerAuthenticationSpec `json:"spec"`
}

// TriggerAuthenticationSpec lists parameters of a trigger and their sources.
type TriggerAuthenticationSpec struct {
	SecretTargetRef []SecretTarget `json:"secretTargetRef"`
}

// SecretTarget takes one parameter from one key of a Secret.
type SecretTarget struct {
	Parameter string `json:"parameter"`
	Name      string `json:"name"`
	Key       string `json:"key"`
}

// ScaledObject tells KEDA what to scale, by what, between which bounds.
type ScaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ScaledObjectSpec `json:"spec"`
}

// ScaledObjectSpec is the part of KEDA's that Caravan sets. Times are in seconds.
type ScaledObjectSpec struct {
	ScaleTargetRef  ScaleTarget `json:"scaleTargetRef"`
	PollingInterval int         `json:"pollingInterval"`
	CooldownPeriod  int         `json:"cooldownPeriod"`
	MinReplicaCount int         `json:"minReplicaCount"`
	MaxReplicaCount int         `json:"maxReplicaCount"`
	Advanced        Advanced    `json:"advanced"`
	Triggers        []Trigger   `json:"triggers"`
}

// ScaleTarget is a Deployment.
type ScaleTarget struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

// Advanced holds what KEDA passes on to the autoscaler that it makes.
type Advanced struct {
	HorizontalPodAutoscalerConfig AutoscalerConfig `json:"horizontalPodAutoscalerConfig"`
}

// AutoscalerConfig is the autoscaler's behaviour on the way up and down.
type AutoscalerConfig struct {
	Behavior autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
}

// Trigger is a signal to scale by. KEDA takes its settings as strings.
type Trigger struct {
	Type              string            `json:"type"`
	Metadata          map[string]string `json:"metadata"`
	AuthenticationRef AuthenticationRef `json:"authenticationRef"`
}

// AuthenticationRef names a TriggerAuthentication of the same namespace.
type AuthenticationRef struct {
	Name string `json:"name"`
}

// TriggerAuthenticationFor lets KEDA read the backlog with the queue's password.
func TriggerAuthenticationFor(args *Args) *TriggerAuthentication {
	return &TriggerAuthentication{
		TypeMeta:   metav1.TypeMeta{APIVersion: kedaAPI, Kind: "TriggerAuthentication"},
		ObjectMeta: object.Meta(args.Namespace, Name, Name),
		Spec: TriggerAuthenticationSpec{SecretTargetRef: []SecretTarget{{
			Parameter: "password", Name: args.Queue.Secret, Key: args.Queue.PasswordKey,
		}}},
	}
}

// ScaledObjectFor scales the workers by the plan's signal. It fails for a signal
// that has no trigger.
func ScaledObjectFor(args *Args) (*ScaledObject, error) {
	trigger, err := triggerFor(args)
	if err != nil {
		return nil, err
	}
	meta := object.Meta(args.Namespace, Name, Name)
	meta.Annotations = map[string]string{waitFor: "condition=Ready"}
	plan := args.Scaling
	return &ScaledObject{
		TypeMeta:   metav1.TypeMeta{APIVersion: kedaAPI, Kind: "ScaledObject"},
		ObjectMeta: meta,
		Spec: ScaledObjectSpec{
			ScaleTargetRef:  ScaleTarget{APIVersion: "apps/v1", Kind: "Deployment", Name: Name},
			PollingInterval: int(plan.PollingInterval.Seconds()),
			CooldownPeriod:  int(plan.Cooldown.Seconds()),
			MinReplicaCount: plan.MinWorkers,
			MaxReplicaCount: plan.MaxWorkers,
			Advanced:        Advanced{AutoscalerConfig{behavior(plan)}},
			Triggers:        []Trigger{trigger},
		},
	}, nil
}

// triggerFor is the one place where a signal becomes a KEDA trigger.
func triggerFor(args *Args) (Trigger, error) {
	t := Trigger{
		Metadata:          map[string]string{"address": args.Queue.Address(args.Namespace)},
		AuthenticationRef: AuthenticationRef{Name: Name},
	}
	target := strconv.Itoa(args.Scaling.MessagesPerWorker)
	switch args.Scaling.Signal {
	case stacks.StreamSignal:
		// Without consumerGroup KEDA counts the entries, which are exactly the waiting and
		// the running messages. What it counts of a group misses one or the other.
		t.Type = "redis-streams"
		t.Metadata["stream"], t.Metadata["streamLength"] = args.Queue.Keys.Jobs, target
	case stacks.ListSignal:
		t.Type = "redis"
		t.Metadata["listName"], t.Metadata["listLength"] = args.Queue.Keys.Jobs, target
	default:
		return Trigger{}, fmt.Errorf("no trigger for signal %q", args.Scaling.Signal)
	}
	return t, nil
}

// stepSeconds is the autoscaler's own period: a step at each look.
const stepSeconds = 15

// behavior climbs at once, tenfold or by fifty pods a step, whichever is more,
// and comes down by half a step after the backlog has asked for fewer workers
// for the whole window: a worker costs a model load to get back.
func behavior(plan stacks.ScalingPlan) autoscalingv2.HorizontalPodAutoscalerBehavior {
	return autoscalingv2.HorizontalPodAutoscalerBehavior{
		ScaleUp: &autoscalingv2.HPAScalingRules{
			StabilizationWindowSeconds: new(int32(0)),
			SelectPolicy:               new(autoscalingv2.MaxChangePolicySelect),
			Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PercentScalingPolicy, Value: 900, PeriodSeconds: stepSeconds},
				{Type: autoscalingv2.PodsScalingPolicy, Value: 50, PeriodSeconds: stepSeconds},
			},
		},
		ScaleDown: &autoscalingv2.HPAScalingRules{
			StabilizationWindowSeconds: new(int32(plan.ScaleDownWindow.Seconds())),
			Policies: []autoscalingv2.HPAScalingPolicy{
				{Type: autoscalingv2.PercentScalingPolicy, Value: 50, PeriodSeconds: stepSeconds},
			},
		},
	}
}
