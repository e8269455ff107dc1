import type { CredentialSource } from '../aliyun/credentials.js'
import { dnsZonePermissions } from '../aliyun/dns-zones.js'
import { dnsZones } from '../aliyun/products.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import { splitWords } from '../program.js'
import { alidns, alidnsAdvice } from './alidns.js'
import { dnsVisible } from './dns-visible.js'
import { exec } from './exec.js'
import type { ChallengeType, Solver } from './solver.js'
import { standalone } from './standalone.js'
import { webroot } from './webroot.js'

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
}

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

interface Kind {
  readonly answers: readonly ChallengeType[]
  make(settings: SolverSettings, context: SolverContext): Solver
  /** The rights in the cloud that proving these names uses; none where it is absent. */
  permissions?(names: readonly string[]): readonly Permission[]
}

/** How long TXT records may take to be seen, where nothing is said, in seconds. */
const defaultDnsTimeout = 180

const missing = (flag: string, why: string): CertError =>
  new CertError('USAGE', `the solver needs to know ${why}`, { hint: `add --${flag}` })

/** The solvers by name. A new one is a file, a line here, and a page in docs/. */
const kinds: Readonly<Record<string, Kind>> = {
  standalone: {
    answers: ['http-01'],
    make: ({ httpPort = 80 }) => standalone({ port: httpPort }),
  },
  webroot: {
    answers: ['http-01'],
    make: ({ webroot: folder }) => {
      if (folder === undefined) throw missing('webroot DIR', 'which folder the web server serves')
      return webroot({ folder })
    },
  },
  exec: {
    answers: ['http-01', 'dns-01'],
    make: ({ challenge, execAuth, execCleanup, dnsResolver, dnsTimeout = defaultDnsTimeout }, { environment }) => {
      if (execAuth === undefined) throw missing('exec-auth COMMAND', 'which command puts an answer in place')
      const cleanUp = execCleanup === undefined ? undefined : splitWords(execCleanup, 'exec-cleanup')
      const auth = splitWords(execAuth, 'exec-auth')
      if (challenge !== 'dns-01') return exec({ answers: challenge, auth, cleanUp, environment })
      const advice = (hosts: readonly string[]) =>
        `the command of --exec-auth has to set the record in the zone that ${hosts.join(', ') || 'the name servers'} answer for; if that takes longer, --dns-timeout SECONDS`
      const settle = dnsVisible({ timeout: dnsTimeout, only: dnsResolver, advice })
      return exec({ answers: challenge, auth, cleanUp, environment, settle })
    },
  },
  alidns: {
    answers: ['dns-01'],
    make: ({ alidnsEndpoint, dnsResolver, dnsTimeout = defaultDnsTimeout }, context) =>
      alidns({
        zones: dnsZones(alidnsEndpoint, context),
        resolver: dnsResolver,
        settle: dnsVisible({ timeout: dnsTimeout, only: dnsResolver, advice: alidnsAdvice }),
      }),
    permissions: dnsZonePermissions,
  },
}

export const solverNames = Object.keys(kinds)

/** Which challenges a solver can answer; empty for one that there is not. */
export const challengesOf = (solver: string): readonly ChallengeType[] =>
  (Object.hasOwn(kinds, solver) ? kinds[solver]?.answers : undefined) ?? []

/** The rights that a solver uses in the cloud to prove these names. */
export const solverPermissions = (solver: string, names: readonly string[]): readonly Permission[] =>
  (Object.hasOwn(kinds, solver) ? kinds[solver]?.permissions?.(names) : undefined) ?? []

/** @throws CertError USAGE */
export const createSolver = (settings: SolverSettings, context: SolverContext): Solver => {
  const kind = Object.hasOwn(kinds, settings.solver) ? kinds[settings.solver] : undefined
  if (kind === undefined) {
    throw new CertError('USAGE', `there is no solver "${settings.solver}"`, {
      hint: `there are: ${solverNames.join(', ')}`,
    })
  }
  if (!kind.answers.includes(settings.challenge)) {
    throw new CertError('USAGE', `the solver ${settings.solver} cannot answer ${settings.challenge}`, {
      hint:
        settings.challenge === 'dns-01'
          ? 'name one that sets TXT records: --solver alidns, or --solver exec --exec-auth COMMAND'
          : `it answers ${kind.answers.join(' and ')}`,
    })
  }
  return kind.make(settings, context)
}
