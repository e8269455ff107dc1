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
  /** What has to be done, in order. No network, no files, no clock: same bundle, same steps. */
  plan(bundle: CertificateBundle, circumstances: Circumstances): readonly Step[]
  /** Makes those steps anew that an earlier run found (`Outcome.found`), by their ids; ids of others are passed over. */
  planFound?(bundle: CertificateBundle, circumstances: Circumstances, ids: readonly string[]): readonly Strand[]
  /**
   * Which certificate stands there now.
   * @param ids of the steps on record, which name the places that an earlier run found
   * @throws CertError where it cannot be found out
   */
  observe(ids: readonly string[], signal: AbortSignal): Promise<Observed>
  /** The hosts to look at for what is served, given the same. */
  hosts?(ids: readonly string[]): readonly string[]
  /** Gets ready for the first step, such as by opening connections; failing is left for the step to report. */
  warmUp?(): void
  /** The bound domain that it is reached through: where this run binds that domain, this waits for it. */
  readonly reachedThrough?: string | undefined
  /** It is about the deployment as a whole: nothing of it is done before all other targets are, and only if all are. */
  readonly afterOthers?: true
  /** Told that this domain was bound a moment ago, and may not show its certificate everywhere yet. */
  justBound?(): void
  /** Does it bind this domain to a bucket, or may it? */
  binds?(domain: string): boolean
  /** Does it give a certificate to CDN or DCDN that answers for this domain, or may it? */
  accelerates?(domain: string): boolean
  /**
   * Does it let the objects of a bucket be read under other names?
   * @throws CertError where that could not be found out for now
   */
  opens?(bucket: string, signal: AbortSignal): Promise<Opening>
}

export interface Opening {
  /** Unknown where looking is not permitted. */
  readonly opens: 'yes' | 'no' | 'unknown'
  /** Under which, as far as they are known. */
  readonly hosts: readonly string[]
}

/** What a target has to know of the world when it plans. */
export interface Circumstances {
  /** The newest certificate that is known to have been put there or wanted there. */
  readonly newest?: Validity | undefined
  /** The same for one place of those that the target finds, such as a domain: another target may have been named for it. */
  readonly newestAt?: ((place: string) => Validity | undefined) | undefined
  /** The other targets of the same deployment. */
  readonly others: readonly DeployTarget[]
  /** Absent where nothing is recorded. */
  readonly onRecord?: OnRecord | undefined
}

/** Other certificates that this machine has deployed: leaf and intermediates, PEM. Nothing is read before it is asked for. */
export interface OnRecord {
  /** @param fingerprint of the leaf, SHA-1 or SHA-256: hexadecimal, lower case */
  withFingerprint(fingerprint: string): Promise<string | undefined>
  /** The one that a step of this target did last, or, in one place of those that it finds, whichever target did. */
  lastDone(step: string, place?: string): Promise<string | undefined>
}

/** What was found where a certificate should be. */
export type Observed =
  | { readonly status: 'found'; readonly places: readonly ObservedPlace[] }
  /** Looking is not permitted. */
  | { readonly status: 'refused' }

export interface ObservedPlace {
  /** Such as a domain; the target's own name where it is one place. */
  readonly place: string
  /** Undefined where there is none. */
  readonly certificate: StandingCertificate | undefined
}

/** As much as the place tells of the certificate in it. */
export interface StandingCertificate {
  /** Of the leaf's DER, hexadecimal, lower case; of which algorithm is for the reader to find out. */
  readonly fingerprint?: string | undefined
  readonly notBefore?: Date | undefined
  readonly notAfter?: Date | undefined
  /** What the place itself calls it. */
  readonly id?: string | undefined
}

export type TargetSettings = Readonly<Record<string, string | boolean>>

/** One thing to do: it says what it does, and does it. Safe to run twice, and safe to be killed in. */
export interface Step {
  /** Unique within its target and the same in every run, so that progress can be recorded. */
  readonly id: string
  /** Imperative, one line, no secret in it: this is what a dry run prints. */
  readonly does: string
  /** Only running it tells what else is to be done. */
  readonly finds?: true
  /** It does nothing but wait for what others do, perhaps for minutes. */
  readonly waits?: true
  /**
   * @param proof what it gave as `Outcome.proof` when it was done before, for this very certificate
   * @throws CertError when it is not done
   */
  run(signal: AbortSignal, proof?: string): Promise<Outcome>
}

/** Steps that follow each other, beside other strands. */
export type Strand = readonly Step[]

export interface Outcome {
  /** `skipped`: there is nothing to do it to. */
  readonly status: 'changed' | 'unchanged' | 'skipped'
  /** Why, or what was found, in a few words. */
  readonly note?: string | undefined
  /** What a person should know although the step is done, one sentence each. */
  readonly warnings?: readonly string[]
  /** What only running could find out is to be done as well: side by side, and each on record of its own. */
  readonly found?: readonly Strand[]
  /** Another certificate, a newer one, stays where this one was to go. */
  readonly standsBack?: true | undefined
  /** By which a later run can tell that what it did is still there, such as an id that the place gave it. */
  readonly proof?: string | undefined
}
