import { dnsZonePermissions } from '../aliyun/dns-zones.js'
import { endpointUrl, isBoundDomain, ossEndpoint } from '../aliyun/endpoint.js'
import { dnsZones } from '../aliyun/products.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { CertError } from '../errors.js'
import { splitWords } from '../program.js'
import { alidns, alidnsAdvice } from './alidns.js'
import { bucket, bucketPermissions } from './bucket.js'
import { dnsVisible } from './dns-visible.js'
import { exec } from './exec.js'
import type { ChallengeType, Solver } from './solver.js'
import { ownPort, type SolverContext, type SolverSettings } from './solver-settings.js'
import { standalone } from './standalone.js'
import { tlsAlpn } from './tls-alpn.js'
import { webroot } from './webroot.js'

interface Kind {
  readonly answers: readonly ChallengeType[]
  make(settings: SolverSettings, context: SolverContext): Solver
  /** The rights in the cloud that proving these names uses; none where it is absent. */
  permissions?(settings: SolverSettings, names: readonly string[]): readonly Permission[]
}

/** How long TXT records may take to be seen, where nothing is said, in seconds. */
const defaultDnsTimeout = 180

const missing = (flag: string, why: string): CertError =>
  new CertError('USAGE', `the solver needs to know ${why}`, { hint: `add --${flag}` })

const requireChallengeBucket = ({ challengeBucket }: SolverSettings): string => {
  if (challengeBucket === undefined) throw missing('challenge-bucket BUCKET', 'which bucket the names are bound to')
  return challengeBucket
}

/** The solvers by name. A new one is a file, a line here, and a page in docs/. */
const kinds: Readonly<Record<string, Kind>> = {
  standalone: {
    answers: ['http-01', 'tls-alpn-01'],
    make: (settings, { now }) => {
      const port = ownPort(settings)
      return settings.challenge === 'tls-alpn-01' ? tlsAlpn({ port, now }) : standalone({ port })
    },
  },
  webroot: {
    answers: ['http-01'],
    make: ({ webroot: folder }) => {
      if (folder === undefined) throw missing('webroot DIR', 'which folder the web server serves')
      return webroot({ folder })
    },
  },
  bucket: {
    answers: ['http-01'],
    make: (settings, context) => {
      const name = requireChallengeBucket(settings)
      const { challengeRegion: region, challengeEndpoint, challengeEndpointIs: is } = settings
      const flag = '--challenge-endpoint'
      const url = challengeEndpoint === undefined ? undefined : endpointUrl(flag, challengeEndpoint)
      const endpoint = ossEndpoint({
        bucket: name,
        region,
        endpoint: url?.origin,
        cnameEndpoint: url !== undefined && (is === undefined ? isBoundDomain(url) : is === 'bound domain'),
        flag,
        regionFlag: '--challenge-region',
      })
      const { httpPort = 80, tlsPort = 443, dnsResolver: nameServer } = settings
      return bucket({ ...context, bucket: name, endpoint, bucketEndpoint: endpoint, httpPort, tlsPort, nameServer })
    },
    permissions: (settings) => bucketPermissions(requireChallengeBucket(settings)),
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
        credentials: context.credentials,
        resolver: dnsResolver,
        settle: dnsVisible({ timeout: dnsTimeout, only: dnsResolver, advice: alidnsAdvice }),
      }),
    permissions: (_settings, names) => dnsZonePermissions(names),
  },
}

export const solverNames = Object.keys(kinds)

/** Which challenges a solver can answer; empty for one that there is not. */
export const challengesOf = (solver: string): readonly ChallengeType[] =>
  (Object.hasOwn(kinds, solver) ? kinds[solver]?.answers : undefined) ?? []

/**
 * The rights that a solver uses in the cloud to prove these names.
 * @throws CertError USAGE
 */
export const solverPermissions = (settings: SolverSettings, names: readonly string[]): readonly Permission[] =>
  (Object.hasOwn(kinds, settings.solver) ? kinds[settings.solver]?.permissions?.(settings, names) : undefined) ?? []

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
