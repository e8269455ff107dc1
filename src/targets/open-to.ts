import { setTimeout as sleep } from 'node:timers/promises'
import type { BoundDomains } from '../aliyun/bound-domains.js'
import { interrupted } from '../patience.js'
import { type AnonymousLook, type Asked, lookAnonymously } from '../proof/anonymous-look.js'
import { type ConnectTo, connectsOf } from '../proof/connect-to.js'
import type { Looking } from './served.js'
import type { DeployTarget } from './target.js'

export interface OpenOptions {
  readonly bucket: string
  /** Where the bucket itself answers. */
  readonly own: Asked
  readonly domains: BoundDomains
  /** The other targets of the same deployment. */
  readonly others: readonly DeployTarget[]
  readonly context: { readonly looking?: Looking | undefined }
}

export interface Openness {
  /** The hosts through which a stranger can read it. */
  readonly open: readonly string[]
  /** Those that this run has served, and that did not answer. */
  readonly silent: readonly string[]
  /** What could not be found out, as a clause each. */
  readonly unknown: readonly string[]
}

/**
 * Through which hosts a stranger can read an object: the bucket's own, those of the domains that are bound to it, and
 * those that CDN fetches from it for. The object is a harmless one that lies beside the key.
 */
export const openTo = async (key: string, options: OpenOptions, signal: AbortSignal): Promise<Openness> => {
  const { own, context } = options
  const { bound, opened, unknown } = await hostsOf(options, signal)
  const connect = context.looking?.connect ?? []
  // What --connect says is about hosts that are served, not about the bucket's own door.
  const doors: readonly Door[] = [
    { ...own, connect: [], isAwaited: false },
    ...[...new Set([...opened, ...bound])].flatMap((host) => doorsOf(host, connect, opened.includes(host))),
  ]
  const path = `/${key.split('/').map(encodeURIComponent).join('/')}`
  const end = performance.now() + (context.looking?.limit ?? 0)
  const looks = await Promise.all(doors.map((door) => lookThrough(door, path, end, signal)))
  const among = (isMeant: (look: AnonymousLook | undefined, door: Door) => boolean) => [
    ...new Set(doors.flatMap((door, i) => (isMeant(looks[i], door) ? [door.origin.host] : []))),
  ]
  return {
    // A site that shows its start page for whatever is asked gives nothing away.
    open: among((look) => look?.status === 200 && /^---\narchive: /.test(look.body)),
    silent: among((look, { isAwaited }) => look === undefined && isAwaited),
    unknown,
  }
}

/** Without TLS it is read as well; a place that was named with --connect speaks TLS. */
const doorsOf = (host: string, connect: readonly ConnectTo[], isAwaited: boolean): Door[] => [
  { origin: new URL(`https://${host}`), connect, isAwaited },
  ...(connectsOf(host, connect).length > 0
    ? []
    : [{ origin: new URL(`http://${host}`), connect: [], isAwaited: false }]),
]

interface Door extends Asked {
  readonly connect: readonly ConnectTo[]
  /** This run binds it, so it may not be there yet: one that is closed for now proves nothing. */
  readonly isAwaited: boolean
}

// In ms.
const pause = 1000

const lookThrough = async (
  door: Door,
  path: string,
  end: number,
  signal: AbortSignal,
): Promise<AnonymousLook | undefined> => {
  for (;;) {
    const look = await lookAnonymously(door, path, door.connect, signal)
    if (look !== undefined || !door.isAwaited || performance.now() + pause > end) return look
    await sleep(pause, undefined, { signal }).catch(() => {
      throw interrupted()
    })
  }
}

const hostsOf = async ({ bucket, domains, others }: OpenOptions, signal: AbortSignal) => {
  const look = await domains.list(signal)
  const openings = await Promise.all(
    others.map(async (other) => ({ other, opening: await other.opens?.(bucket, signal) })),
  )
  return {
    bound: look.status === 'found' ? look.value.map(({ domain }) => domain) : [],
    opened: openings.flatMap(({ opening }) => (opening && opening.opens !== 'no' ? opening.hosts : [])),
    unknown: [
      ...(look.status === 'found' ? [] : [`the domains that are bound to ${bucket} may not be listed`]),
      // One that is named is asked, whatever it fetches from.
      ...openings.flatMap(({ other, opening }) =>
        opening?.opens === 'unknown' && opening.hosts.length === 0
          ? [`the domains of ${other.name} may not be listed`]
          : [],
      ),
    ],
  }
}
