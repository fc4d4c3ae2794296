import { applyDecorators, Catch, type RpcExceptionFilter, UseFilters } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
import { PARAM_ARGS_METADATA } from '@nestjs/microservices/constants.js';
import { type Observable, throwError } from 'rxjs';
import { type Request, type Subject } from './subject.js';

/** Hands every error to the bus server as it is: Nest's own filter would flatten it to `Internal server error`. */
@Catch()
class Untouched implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    return throwError(() => error);
  }
}

const untouched = new Untouched();

/** Marks the controller method that answers a subject: `(request: Request<Q>) => Promise<A>`. */
export function Answers<Q, A>(subject: Subject<Q, A>) {
  const decorate = applyDecorators(MessagePattern(subject.name, { group: subject.owner }), UseFilters(untouched));
  return <H extends (request: Request<Q>) => Promise<A>>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<H>,
  ): void => {
    decorate(target, key, descriptor);
    // No parameter that a pipe could change: else Nest leads each call through a list of promises for the one it has.
    Reflect.defineMetadata(PARAM_ARGS_METADATA, {}, target.constructor, key);
  };
}
