import type { KeyRing } from '../access-key.js'
import type { JsonObject } from '../json.js'
import type { Service } from '../service.js'
import type { WireRequest } from '../wire-request.js'
import { popAnswers } from './answers.js'
import { authenticate, Nonces } from './authenticate.js'
import { authorize } from './authorize.js'
import { type Claim, readClaim } from './claim.js'
import type { PopOperation, Product } from './operation.js'
import { checkParameters } from './parameters.js'
import { RateLimit } from './rate-limit.js'
import { PopRefusal, popWording } from './refusal.js'

export interface PopParts {
  readonly products: readonly Product[]
  readonly keys: KeyRing
  readonly now: () => Date
}

/** A call with what it is a call of; either may be unknown to the cloud. */
interface Asked {
  readonly request: WireRequest
  readonly claim: Claim
  readonly product: Product | undefined
  readonly operation: PopOperation | undefined
}

const label = (host: string): string => /^([a-z0-9-]+)(?:\.[a-z0-9-]+)?\.aliyuncs\.com(?::\d+)?$/.exec(host)?.[1] ?? ''

/** Throws where the gateway knows no such call. */
const known = ({ request, claim, product, operation }: Asked): { product: Product; operation: PopOperation } => {
  const host = label(request.host)
  if (product === undefined || (host !== '' && host !== product.host))
    throw new PopRefusal(400, 'NoSuchVersion', 'The specified version does not exist.')
  if (operation === undefined)
    throw new PopRefusal(
      404,
      'InvalidApi.NotFound',
      `Specified api is not found, please check your url and method: ${claim.action}.`,
    )
  if (!operation.metadata.method.split('|').includes(request.method))
    throw new PopRefusal(400, 'UnsupportedHTTPMethod', 'This http method is not supported.')
  return { product, operation }
}

/** The products that are called by name, behind one gateway: CDN, DCDN and the certificate service. */
export const popService = ({ products, keys, now }: PopParts): Service => {
  const nonces = new Nonces()
  const limits = new Map(products.map((product) => [product, new RateLimit()]))

  const carryOut = (asked: Asked): JsonObject => {
    const { claim, request } = asked
    const { product, operation } = known(asked)
    const sender = authenticate(claim, request, keys, nonces)
    limits.get(product)?.admit(operation.name, product.callsPerSecond(), request.time)
    const given = checkParameters(operation.metadata, claim.parameters)
    for (const resource of operation.resources(given)) authorize(sender, `${product.ram}:${operation.name}`, resource)
    return operation.perform({ given, now: request.time, sender })
  }

  return {
    match(request) {
      const claim = readClaim(request)
      if (claim === undefined) return undefined
      const product = products.find(({ version }) => version === claim.version)
      const operation = product?.operations.find(({ name }) => name === claim.action)
      const answers = popAnswers(request, claim, product?.host ?? '', now)
      return {
        action: operation && `${product?.ram}:${operation.name}`,
        bucket: undefined,
        key: claim.parameters.find(([name]) => name === 'DomainName' || name === 'DomainNames')?.[1],
        accessKeyId: claim.accessKeyId,
        requestId: claim.requestId,
        perform() {
          try {
            return answers.of(carryOut({ request, claim, product, operation }))
          } catch (error) {
            if (error instanceof PopRefusal) return answers.of(error)
            throw error
          }
        },
        refuse(status, code, message, headers) {
          // The gateway has seen the nonce before whatever stands behind it failed, so no retry may send it again.
          nonces.use(claim)
          return answers.of(new PopRefusal(status, code, message ?? popWording(code)), headers)
        },
      }
    },
  }
}
