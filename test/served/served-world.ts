// What the tests of «served, and proven» share: a world whose client trusts the CA of the tests (this process does not:
// it runs the edges, and a server of Node's that knows the root would send more than it is told), and the words that
// lead to its cloud.
import type { Test } from 'tap'
import {
  bucket,
  daysFromNow,
  deploymentsIn,
  type Material,
  mintMaterial,
  openWorld,
  region,
  root,
  type World,
  type WorldOptions,
  type WorldRun,
} from '../deploy-world.js'
import type { Edge } from '../emulator/edge/edge.js'
import type { RecordedRequest } from '../emulator/journal.js'

export interface ServedWorld extends World {
  /** PEM: what the client is to trust beside its own roots. */
  readonly roots: string
  /** Every endpoint of the cloud, and no target. */
  readonly reach: readonly string[]
  /** The bucket and every endpoint; without the layout unless `withLayout` stands there instead. */
  readonly withoutLayout: readonly string[]
  readonly withLayout: readonly string[]
}

export const openServedWorld = async (t: Test, options: WorldOptions = {}): Promise<ServedWorld> => {
  const world = await openWorld(t, options)
  const { url } = world.emulator
  const roots = world.file('roots.pem', root.pem)
  const run: World['run'] = (words, { environment, ...more } = {}) =>
    world.run(words, { ...more, environment: { NODE_EXTRA_CA_CERTS: roots, ...environment } })
  const reach = ['--cdn-endpoint', url, '--dcdn-endpoint', url, '--cas-endpoint', url]
  return {
    ...world,
    run,
    deploy: (material, words = world.toBucket, more: WorldRun = {}) =>
      run(['deploy', '--fullchain', '-', ...words], { input: material.fullchain + material.key, ...more }),
    roots,
    reach,
    withLayout: [...world.toBucket, ...reach],
    withoutLayout: ['--bucket', bucket, '--region', region, '--endpoint', url, '--no-layout', ...reach],
  }
}

/** As `--connect` takes it. */
export const placeOf = ({ address, port }: Pick<Edge, 'address' | 'port'>): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

/** For every host: these edges, whatever DNS says. */
export const dialling = (...edges: readonly Pick<Edge, 'address' | 'port'>[]): string[] =>
  edges.flatMap((edge) => ['--connect', placeOf(edge)])

const issuerUrl = 'http://ca.example.com/intermediate.der'

/** The certificate that a wildcard and its bare name stand in. */
export const wildcardNames = ['example.com', '*.example.com'] as const
export const mintWildcard = (): Promise<Material> => mintMaterial({ names: wildcardNames, issuerUrl })

/** The one that it follows: in force, and older. */
export const mintBefore = (): Promise<Material> =>
  mintMaterial({ names: wildcardNames, issuerUrl, notBefore: daysFromNow(-60), notAfter: daysFromNow(30) })

const changing = /:(Put|Post|Append|Copy|Set|Upload|Delete|Create|Modify|Add|Update|Start|Stop)/

/** The requests that changed something: those that were carried out of what is not reading. */
export const changesIn = (requests: readonly RecordedRequest[]): string[] =>
  requests
    .filter(({ action = '', answer }) => changing.test(action) && answer?.status === 200)
    .map(({ action = '', key }) => (key === undefined || key === '' ? action : `${action} ${key}`))

/** The requests of one kind that were carried out. */
export const countOf = (requests: readonly RecordedRequest[], action: string): number =>
  requests.filter((one) => one.action === action && one.answer?.status === 200).length

interface Staged {
  readonly target: string
  readonly status: string
  readonly steps: readonly { readonly id: string; readonly status: string }[]
}

/** `oss-cname my-ssl-certs/static.example.com changed: bind changed, served unchanged` */
export const stageLines = (stages: readonly Staged[]): string[] =>
  stages.map(
    ({ target, status, steps }) => `${target} ${status}: ${steps.map((one) => `${one.id} ${one.status}`).join(', ')}`,
  )

/** The open steps: `cdn www.example.com: served NOT_SERVED`. */
export const openLines = (
  pending: readonly {
    readonly target: string | null
    readonly step: string | null
    readonly error: { readonly code: string } | null
  }[],
): string[] => pending.map(({ target, step, error }) => `${target}: ${step}${error === null ? '' : ` ${error.code}`}`)

/** Each step on record, by its target's identity: `cdn www.example.com at http://…: bind done, served failed`. */
export const recordLines = ({ state, emulator }: World): string[] =>
  deploymentsIn(state).flatMap(({ record }) =>
    Object.entries(record.targets).map(
      ([identity, { steps }]) =>
        `${identity.replaceAll(emulator.url, 'CLOUD')}: ${Object.entries(steps)
          .map(([id, { status }]) => `${id} ${status}`)
          .join(', ')}`,
    ),
  )
