import type { Caller } from '../aliyun/caller.js'
import type { CredentialSource } from '../aliyun/credentials.js'
import type { EdgeDomains, EdgeProduct } from '../aliyun/edge-domains.js'
import { edgeDomains } from '../aliyun/products.js'
import type { ExplainedStatement } from '../aliyun/ram-policy.js'
import type { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import type { Looking } from '../targets/served.js'
import type { DeployTarget, TargetSettings } from '../targets/target.js'

/** All that a look at what deployments depend on begins with. */
export interface Situation {
  readonly program: { readonly version: string; readonly node: string }
  readonly configuration: Configuration
  readonly deployments: readonly Wanted[]
  /** All rights that these use. */
  readonly permissions: readonly ExplainedStatement[]
  /** Of the state folder, or why there is none. */
  readonly stateRoot: string | CertError
  readonly process: ProcessFacts
  readonly timer: TimerPlaces
  readonly context: ReachContext
  /** URLs of products, for what no target says where it is. */
  readonly endpoints: Readonly<Record<EdgeProduct, string | undefined>>
  /** STS. */
  readonly caller: { readonly url: URL; ask(signal: AbortSignal): Promise<Caller> }
}

export interface Configuration {
  /** Undefined where there is none. */
  readonly path: string | undefined
  readonly fault: CertError | undefined
  readonly entries: number
}

/** One certificate, and where it is to go. */
export interface Wanted {
  /** Undefined where flags alone say where to. */
  readonly name: string | undefined
  /** Those of the certificate, as far as they are known. */
  readonly domains: readonly string[]
  readonly targets: readonly WantedTarget[]
  readonly solver: SolverSettings | undefined
}

export interface WantedTarget {
  readonly kind: string
  readonly settings: TargetSettings
  readonly target: DeployTarget
}

export interface ProcessFacts {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly userId: number | undefined
}

/** Where `install.sh` puts what a timer needs. */
export interface TimerPlaces {
  readonly environment: string
  readonly cron: string
}

export interface ReachContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly looking: Looking
  readonly trace?: ((line: string) => void) | undefined
}

export const targetsOf = ({ deployments }: Pick<Situation, 'deployments'>): WantedTarget[] =>
  deployments.flatMap(({ targets }) => targets)

export const textIn = (settings: TargetSettings, name: string): string | undefined => {
  const value = settings[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const said = new WeakMap<object, Map<string, string | undefined>>()

/** What the first target says that says anything of it; there may be thousands, and each of them asks. */
export const firstSaid = ({ deployments }: Pick<Situation, 'deployments'>, name: string): string | undefined => {
  const known = said.get(deployments) ?? new Map<string, string | undefined>()
  said.set(deployments, known)
  if (!known.has(name)) {
    const values = targetsOf({ deployments }).map(({ settings }) => textIn(settings, name))
    known.set(
      name,
      values.find((value) => value !== undefined),
    )
  }
  return known.get(name)
}

/** CDN or DCDN, where the targets say that it is. */
export const edgesOf = (
  situation: Situation,
  product: EdgeProduct,
): { readonly domains: EdgeDomains; readonly endpoint: URL } => {
  const url = firstSaid(situation, `${product}-endpoint`) ?? situation.endpoints[product]
  const { domains, endpoint } = edgeDomains(product, url, situation.context)
  return { domains, endpoint: new URL(endpoint) }
}
