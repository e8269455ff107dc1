import type { CredentialSource } from '../aliyun/credentials.js'
import type { HttpConnections } from '../http-connections.js'
import type { ChallengeType } from './solver.js'

/** How challenges are to be answered, as it was asked for; stored with an issued certificate, so no secrets. */
export interface SolverSettings {
  readonly solver: string
  readonly challenge: ChallengeType
  readonly httpPort?: number | undefined
  readonly tlsPort?: number | undefined
  readonly webroot?: string | undefined
  readonly execAuth?: string | undefined
  readonly execCleanup?: string | undefined
  /** How long a TXT record may take to be seen, in seconds; 0 where nobody is to look. */
  readonly dnsTimeout?: number | undefined
  /** Asked instead of the zone's own servers, as `parseNameServer` gives it. */
  readonly dnsResolver?: string | undefined
  readonly alidnsEndpoint?: string | undefined
  /** The bucket that the names are bound to. */
  readonly challengeBucket?: string | undefined
  readonly challengeRegion?: string | undefined
  readonly challengeEndpoint?: string | undefined
  /** What that is; where it is not said, its name tells. */
  readonly challengeEndpointIs?: 'bound domain' | 'endpoint' | undefined
}

/** The port of a server of our own: where CAs come, unless it was said that what they ask is led elsewhere. */
export const ownPort = ({ challenge, httpPort = 80, tlsPort = 443 }: SolverSettings): number =>
  challenge === 'tls-alpn-01' ? tlsPort : httpPort

/** What solvers reach the world with; none of it is part of what they are. */
export interface SolverContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly trace?: ((line: string) => void) | undefined
}
