import { type EdgeDomains, isGone } from '../aliyun/edge-domains.js'
import type { EdgeFunction } from '../aliyun/edge-functions.js'
import { hostToLookAt } from '../aliyun/edge-host.js'
import { isForbidden, vendorCode } from '../aliyun/rpc.js'
import { CertError } from '../errors.js'
import {
  type Arguments,
  edgeFunctionNames,
  factsOf,
  httpsPart,
  rulesPart,
  textOfArguments,
  textOfHttps,
  textOfRules,
  theFunction,
} from './edge-parts.js'
import { type EdgeMove, planEdge } from './edge-plan.js'
import type { HttpsChange, HttpsPlace, HttpsState } from './https-place.js'

export interface EdgePlaceOptions {
  /** As the product spells it: a wildcard begins with a dot. */
  readonly domain: string
  readonly domains: EdgeDomains
  /** Scheme, host and port of the API. */
  readonly endpoint: string
  /** What it takes to make this place again. */
  readonly settings: HttpsPlace['settings']
}

/** A domain of CDN or DCDN. */
export const edgePlace = (options: EdgePlaceOptions): HttpsPlace => {
  const { domain, domains, endpoint, settings } = options
  const { product } = domains
  return {
    kind: product,
    identity: `${product} ${domain} at ${endpoint}`,
    name: placeName(options),
    settings,
    hosts: async () => [hostToLookAt(domain)],
    read: (signal) => read(options, signal),
    plan(aim, state) {
      const { moves, warnings } = planEdge({ product, domain }, aim, state)
      return { changes: moves.map((move) => changeOf(options, move, state)), warnings }
    },
    certificatesIn: (parts) => (parts[httpsPart] === textOfArguments({ https: 'off' }) ? [] : [httpsPart]),
    // How it fetches is not changed, so nothing behind it breaks.
    hazards: async () => [],
  }
}

const placeName = ({ domain, domains }: EdgePlaceOptions): string => `${domains.product.toUpperCase()} domain ${domain}`

const read = async (options: EdgePlaceOptions, signal: AbortSignal): Promise<HttpsState> => {
  const { domain, domains } = options
  const parts: Record<string, string | null> = {}
  const unread: Record<string, CertError> = {}
  const [functions, certificate] = await Promise.all([
    orRefusal(() => domains.functions.read(domain, edgeFunctionNames, signal)),
    orRefusal(() => domains.shownCertificate(domain, signal)),
  ])
  if (certificate instanceof CertError) unread[httpsPart] = certificate
  else parts[httpsPart] = textOfHttps(certificate)
  if (!(functions instanceof CertError)) parts[rulesPart] = textOfRules(functions)
  for (const name of edgeFunctionNames) {
    const found = functions instanceof CertError ? functions : textOrDoubt(options, functions, name)
    if (found instanceof CertError) unread[name] = found
    else parts[name] = found
  }
  return { parts, unread, facts: factsOf(parts) }
}

/** A missing right leaves something unknown; anything else that fails is no answer. */
const orRefusal = async <T>(ask: () => Promise<T>): Promise<T | CertError> => {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof CertError && isForbidden(error)) return error
    throw error
  }
}

const textOrDoubt = (options: EdgePlaceOptions, functions: readonly EdgeFunction[], name: string) => {
  try {
    return textOfArguments(theFunction(functions, name, placeName(options))?.args)
  } catch (error) {
    if (error instanceof CertError) return error
    throw error
  }
}

const changeOf = (options: EdgePlaceOptions, move: EdgeMove, state: HttpsState): HttpsChange => {
  const part = move.kind === 'function' ? move.part : httpsPart
  const before = state.parts[part] ?? null
  return {
    part,
    does: move.does,
    before,
    after: afterOf(move),
    run: (signal) =>
      options.domains.turns.alone(options.domain, async () => {
        try {
          await carryOut(options, move, before, signal)
        } catch (error) {
          throw explained(error, options, move)
        }
      }),
  }
}

const afterOf = (move: EdgeMove): string | null => {
  if (move.kind === 'function') return textOfArguments(move.args)
  return move.kind === 'bind' ? move.after : textOfArguments({ https: 'off' })
}

/** Looks again first: it may have been done by a run that was killed, or undone by somebody else. */
const carryOut = async (
  options: EdgePlaceOptions,
  move: EdgeMove,
  before: string | null,
  signal: AbortSignal,
): Promise<void> => {
  const { domain, domains } = options
  if (move.kind === 'function') return await changeFunction(options, move, before, signal)
  const { https } = await domains.shownCertificate(domain, signal)
  if (move.kind === 'switch off' && https) await domains.switchOff(domain, signal)
  if (move.kind === 'bind' && !https) await domains.setCertificate(domain, move, signal)
}

type FunctionMove = Extract<EdgeMove, { readonly kind: 'function' }>

const changeFunction = async (
  options: EdgePlaceOptions,
  { part: name, args, otherwise }: FunctionMove,
  before: string | null,
  signal: AbortSignal,
): Promise<void> => {
  const { domain, domains } = options
  const find = async () => theFunction(await domains.functions.read(domain, [name], signal), name, placeName(options))
  const found = await find()
  const stands = textOfArguments(found?.args)
  if (stands === textOfArguments(args) || (otherwise && stands === textOfArguments(otherwise))) return
  if (stands !== before) {
    throw new CertError(
      'CLOUD_UNAVAILABLE',
      `${name} of the ${placeName(options)} was changed by somebody else just now`,
      {
        passing: true,
        hint: 'each run looks at what stands there now',
      },
    )
  }
  const set = (to: Arguments) =>
    domains.functions.set(domain, { id: found?.id, name, args: Object.entries(to) }, signal)
  if (args !== undefined) {
    return await set(args).catch((error: unknown) => {
      if (otherwise === undefined || !isRefused(error)) throw error
      return set(otherwise)
    })
  }
  if (found === undefined) return
  await domains.functions.remove(domain, { id: found.id, name }, signal).catch(async (error: unknown) => {
    // The answer to a first try may have been lost.
    if (!isRefused(error) || (await find()) !== undefined) throw error
  })
}

/** For what it is, rather than for who asks. */
const isRefused = (error: unknown): boolean =>
  error instanceof CertError && error.code === 'CLOUD_REFUSED' && !isForbidden(error) && !isGone(error)

/** What only whoever knows the change can say of a refusal. */
const explained = (error: unknown, options: EdgePlaceOptions, move: EdgeMove): unknown => {
  if (!(error instanceof CertError)) return error
  const hint = hintFor(error, options, move)
  if (hint === undefined) return error
  const { code, message, vendor, passing, retryAfter, cause } = error
  return new CertError(code, message, { hint, vendor, passing, retryAfter, cause })
}

const hintFor = (error: CertError, options: EdgePlaceOptions, move: EdgeMove): string | undefined => {
  if (error.passing && error.code !== 'INTERRUPTED') {
    const isBusy = ['servicebusy', 'lastoperationnotfinished'].includes(vendorCode(error))
    const why = isBusy
      ? `the ${placeName(options)} is still taking over an earlier change, which can take some minutes`
      : error.hint
    return `${why}; not done yet: ${move.does}, and what comes after it; run the same command again, or give it longer with --timeout`
  }
  if (!isRefused(error)) return undefined
  if (move.kind === 'function' && move.part === 'HSTS' && move.args?.['https_hsts_preload'] === 'on') {
    return `${options.domains.product.toUpperCase()} has no documented setting for HSTS preload and may not know it: run it again without preload, and let the origin send that header`
  }
  if (move.kind === 'bind') {
    return `the certificate that was bound then may be gone or over: deploy one with acme-oss deploy --${options.domains.product}-domain ${options.domain}, and run the same command again`
  }
  return undefined
}
