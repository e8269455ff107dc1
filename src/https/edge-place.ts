import { type EdgeDomains, isGone } from '../aliyun/edge-domains.js'
import type { EdgeFunction, GivenFunction } from '../aliyun/edge-functions.js'
import { hostToLookAt } from '../aliyun/edge-host.js'
import { isForbidden, vendorCode } from '../aliyun/rpc.js'
import { CertError } from '../errors.js'
import {
  type Arguments,
  type EdgeFunctionName,
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
import type { HttpsChange, HttpsParts, HttpsPlace, HttpsState } from './https-place.js'

export interface EdgePlaceOptions {
  /** As the product spells it: a wildcard begins with a dot. */
  readonly domain: string
  readonly domains: EdgeDomains
  /** What it takes to make this place again. */
  readonly settings: HttpsPlace['settings']
}

/** A domain of CDN or DCDN. */
export const edgePlace = (options: EdgePlaceOptions): HttpsPlace => {
  const { domain, domains, settings } = options
  const { product } = domains
  return {
    kind: product,
    // A domain is in one account, and there once.
    identity: `${product} ${domain}`,
    name: placeName(options),
    settings,
    hosts: async () => [hostToLookAt(domain)],
    read: (signal, scope) => read(options, scope, signal),
    plan(aim, state) {
      const { moves, warnings } = planEdge({ product, domain }, aim, state)
      return { changes: moves.map((_, i) => changeOf(options, moves.slice(i), state)), warnings }
    },
    certificatesIn: (parts) => (parts[httpsPart] === textOfArguments({ https: 'off' }) ? [] : [httpsPart]),
    // How it fetches is not changed, so nothing behind it breaks.
    hazards: async () => [],
  }
}

const placeName = ({ domain, domains }: EdgePlaceOptions): string => `${domains.product.toUpperCase()} domain ${domain}`

const read = async (
  options: EdgePlaceOptions,
  scope: 'plain HTTP' | undefined,
  signal: AbortSignal,
): Promise<HttpsState> => {
  const { domain, domains } = options
  const parts: Record<string, string | null> = {}
  const unread: Record<string, CertError> = {}
  // Both are over before anything is said: nothing is left running.
  const asked = [
    orRefusal(() => domains.functions.read(domain, edgeFunctionNames, signal)),
    // Whatever it has, plain HTTP can be let in again.
    scope === undefined ? orRefusal(() => domains.shownCertificate(domain, signal)) : undefined,
  ] as const
  await Promise.allSettled(asked)
  const [functions, certificate] = await Promise.all(asked)
  if (certificate instanceof CertError) unread[httpsPart] = certificate
  else if (certificate !== undefined) parts[httpsPart] = textOfHttps(certificate)
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

/** @param moves it, and what comes after it */
const changeOf = (options: EdgePlaceOptions, moves: readonly EdgeMove[], { parts }: HttpsState): HttpsChange => {
  const move = moves[0] as EdgeMove
  const part = move.kind === 'function' ? move.part : httpsPart
  const before = parts[part] ?? null
  return {
    part,
    does: move.does,
    before,
    after: afterOf(move),
    run: (signal) =>
      options.domains.turns.alone(options.domain, async () => {
        try {
          await carryOut(options, moves, parts, signal)
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
  moves: readonly EdgeMove[],
  before: HttpsParts,
  signal: AbortSignal,
): Promise<void> => {
  const { domain, domains } = options
  const move = moves[0] as EdgeMove
  if (move.kind === 'function') return await changeFunction(options, [move, ...alongWith(moves)], before, signal)
  const { https } = await domains.shownCertificate(domain, signal)
  if (move.kind === 'switch off' && https) await domains.switchOff(domain, signal)
  if (move.kind === 'bind' && !https) await domains.setCertificate(domain, move, signal)
}

type FunctionMove = Extract<EdgeMove, { readonly kind: 'function' }>

/**
 * What is set next and can be in the same call: a domain may take some minutes over each, and takes no other meanwhile.
 */
const alongWith = ([first, ...moves]: readonly EdgeMove[]): readonly FunctionMove[] => {
  const end = moves.findIndex((move) => !isPlainSet(move))
  return first !== undefined && isPlainSet(first) ? moves.slice(0, end < 0 ? undefined : end).filter(isPlainSet) : []
}

const isPlainSet = (move: EdgeMove): move is FunctionMove =>
  move.kind === 'function' && move.args !== undefined && move.otherwise === undefined

const changeFunction = async (
  options: EdgePlaceOptions,
  [move, ...others]: readonly [FunctionMove, ...FunctionMove[]],
  before: HttpsParts,
  signal: AbortSignal,
): Promise<void> => {
  const { domain, domains } = options
  const { part: name, args, otherwise } = move
  const wanted = [name, ...others.map(({ part }) => part)]
  const functions = await domains.functions.read(domain, wanted, signal)
  const found = theFunction(functions, name, placeName(options))
  const stands = textOfArguments(found?.args)
  if (stands === textOfArguments(args) || (otherwise && stands === textOfArguments(otherwise))) return
  if (stands !== before[name]) {
    throw new CertError(
      'CLOUD_UNAVAILABLE',
      `${name} of the ${placeName(options)} was changed by somebody else just now`,
      { passing: true, hint: 'each run looks at what stands there now' },
    )
  }
  if (args === undefined) return await remove(options, name, found?.id, signal)
  const given = (part: string, to: Arguments): GivenFunction => ({
    id: functions.find((one) => one.name === part && one.rule === undefined)?.id,
    name: part,
    args: Object.entries(to),
  })
  // The others are what they were, or they say so when it is their turn.
  const along = others.filter(({ part }) => textFound(functions, part, options) === before[part])
  const all = [move, ...along].map((one) => given(one.part, one.args ?? {}))
  await domains.functions.set(domain, all, signal).catch(async (error: unknown) => {
    if (!isRefused(error)) throw error
    // Which of them it is about is not said.
    if (along.length > 0) return await domains.functions.set(domain, [given(name, args)], signal)
    if (otherwise === undefined) throw error
    return await domains.functions.set(domain, [given(name, otherwise)], signal)
  })
}

/** Undefined where it cannot be told. */
const textFound = (functions: readonly EdgeFunction[], name: string, options: EdgePlaceOptions) => {
  const text = textOrDoubt(options, functions, name)
  return text instanceof CertError ? undefined : text
}

const remove = async (
  options: EdgePlaceOptions,
  name: EdgeFunctionName,
  id: string | undefined,
  signal: AbortSignal,
): Promise<void> => {
  const { domain, domains } = options
  if (id === undefined) return
  await domains.functions.remove(domain, { id, name }, signal).catch(async (error: unknown) => {
    // The answer to a first try may have been lost.
    if (!isRefused(error)) throw error
    const functions = await domains.functions.read(domain, [name], signal)
    if (functions.some((one) => one.id === id)) throw error
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
