import type { CertificateBundle } from '../certificate/bundle.js'

/** From when to when a certificate is valid. */
export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** A place where a certificate is put to use. */
export interface DeployTarget {
  readonly kind: string
  /** Which place it is, whatever options it is reached with: kind, bucket or domain, prefix, endpoint. */
  readonly identity: string
  /** As the reader would name it: `oss my-ssl-certs/certs/example.com/`. */
  readonly name: string
  /** What it takes, besides credentials, to make this very target again another day. */
  readonly settings: TargetSettings
  /** Host names that will be served with the certificate: each has to be covered by it. */
  readonly serves: readonly string[]
  /**
   * What has to be done, in order. No network, no files, no clock: same bundle, same steps.
   * @param newest the newest certificate that is known to have been put there or wanted there
   */
  plan(bundle: CertificateBundle, newest?: Validity): readonly Step[]
  /** Gets ready for the first step, such as by opening connections; failing is left for the step to report. */
  warmUp?(): void
}

export type TargetSettings = Readonly<Record<string, string | boolean>>

/** One thing to do: it says what it does, and does it. Safe to run twice, and safe to be killed in. */
export interface Step {
  /** Unique within its target and the same in every run, so that progress can be recorded. */
  readonly id: string
  /** Imperative, one line, no secret in it: this is what a dry run prints. */
  readonly does: string
  /** @throws CertError when it is not done */
  run(signal: AbortSignal): Promise<Outcome>
}

export interface Outcome {
  readonly status: 'changed' | 'unchanged'
  /** Why, or what was found, in a few words. */
  readonly note?: string | undefined
  /** What a person should know although the step is done, one sentence each. */
  readonly warnings?: readonly string[]
}
