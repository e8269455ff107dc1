import type { Attempted } from './refusal.js'
import { type Json, listOf, type RpcClient, textOf } from './rpc.js'

/** What the products call the same things. */
const calls = {
  cdn: { describe: 'DescribeCdnDomainConfigs', set: 'BatchSetCdnDomainConfig', remove: 'DeleteSpecificConfig' },
  dcdn: {
    describe: 'DescribeDcdnDomainConfigs',
    set: 'BatchSetDcdnDomainConfigs',
    remove: 'DeleteDcdnSpecificConfig',
  },
} as const

type Product = keyof typeof calls

/** The RAM actions that the calls below take: each is called as its call. */
export const edgeFunctionActions = (product: Product) => ({
  describe: `${product}:${calls[product].describe}`,
  set: `${product}:${calls[product].set}`,
  remove: `${product}:${calls[product].remove}`,
})

/** One setting of a domain. */
export interface EdgeFunction {
  /** Of this setting of this domain (ConfigId). */
  readonly id: string
  readonly name: string
  /** As they were told, and a name may be there twice. */
  readonly args: readonly (readonly [name: string, value: string])[]
  /** The rule under which it holds; undefined where it always does. */
  readonly rule: string | undefined
}

export interface GivenFunction {
  /** Of the one that is changed; undefined makes a new one. */
  readonly id: string | undefined
  readonly name: string
  readonly args: readonly (readonly [name: string, value: string])[]
}

/** The settings of the domains of CDN or DCDN. */
export class EdgeFunctions {
  readonly #product: Product
  readonly #client: RpcClient

  constructor(product: Product, client: RpcClient) {
    this.#product = product
    this.#client = client
  }

  /** Those of these names, under a rule as well. @throws CertError */
  async read(domain: string, names: readonly string[], signal: AbortSignal): Promise<EdgeFunction[]> {
    const { describe } = calls[this.#product]
    const attempted = this.#attempt(`reading the settings of`, describe, domain)
    const parameters = { DomainName: domain, FunctionNames: names.join() }
    const answer = await this.#client.call(describe, parameters, attempted, signal)
    return listOf(answer, 'DomainConfigs', 'DomainConfig').flatMap(readFunction)
  }

  /** Gives each function exactly its arguments: all of them, or none. @throws CertError */
  async set(domain: string, functions: readonly GivenFunction[], signal: AbortSignal): Promise<void> {
    const { set } = calls[this.#product]
    const given = functions.map(({ id, name, args }) => ({
      functionName: name,
      functionArgs: args.map(([argName, argValue]) => ({ argName, argValue })),
      ...(id !== undefined && { configId: id }),
    }))
    const parameters = { DomainNames: domain, Functions: JSON.stringify(given) }
    const names = functions.map(({ name }) => name).join(', ')
    await this.#client.call(set, parameters, this.#attempt(`setting ${names} of`, set, domain), signal)
  }

  /** By its id, so that those of the same name under a rule stay. @throws CertError */
  async remove(domain: string, { id, name }: Pick<EdgeFunction, 'id' | 'name'>, signal: AbortSignal): Promise<void> {
    const { remove } = calls[this.#product]
    const attempted = this.#attempt(`deleting ${name} of`, remove, domain)
    await this.#client.call(remove, { DomainName: domain, ConfigId: id }, attempted, signal)
  }

  #attempt(verb: string, action: string, domain: string): Attempted {
    return {
      doing: `${verb} the ${this.#product.toUpperCase()} domain ${domain}`,
      action: `${this.#product}:${action}`,
      resource: `acs:${this.#product}:*:*:domain/${domain}`,
    }
  }
}

const readFunction = (config: Json): EdgeFunction[] => {
  const id = textOf(config['ConfigId'])
  const name = textOf(config['FunctionName'])
  if (id === undefined || name === undefined) return []
  const args = listOf(config, 'FunctionArgs', 'FunctionArg').flatMap(({ ArgName, ArgValue }) => {
    const argument = textOf(ArgName)
    return argument === undefined ? [] : [[argument, textOrEmpty(ArgValue)] as const]
  })
  const rule = textOf(config['ParentId'])
  return [{ id, name, args, rule: noRule.includes(rule) ? undefined : rule }]
}

// The second is how a rule is taken away again.
const noRule: readonly (string | undefined)[] = [undefined, '-1', '0']

// An empty one is one as well.
const textOrEmpty = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
